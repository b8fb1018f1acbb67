// How often the program has allocated so far: for tests of paths that must not. Link
// allocations.cc.
#pragma once

#include <cstddef>

namespace purgeline::test {

[[nodiscard]] std::size_t allocations();

}  // namespace purgeline::test
