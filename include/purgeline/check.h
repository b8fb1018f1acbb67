// CHECK: our own invariants, on in release builds too.
//
// Never for anything that comes from outside: with systemd restarts a CHECK on input is a crash
// loop.
#pragma once

namespace purgeline {

// Prints file, line and condition to stderr, then aborts. Defined in base/check.cc.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace purgeline

#define CHECK(condition)                             \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::purgeline::check_failed(__FILE__, __LINE__, #condition))
