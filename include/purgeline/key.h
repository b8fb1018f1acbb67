// Key: what purges of one URL share.
//
// XXH3-128 over lower-cased host (with a non-default port), one NUL byte, and the request target's
// bytes exactly as received. Two URLs that differ in percent-encoding only are two keys, because
// caches keep them apart too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace purgeline {

struct Key {
  std::uint64_t high{};
  std::uint64_t low{};
  friend constexpr auto operator<=>(const Key&, const Key&) = default;
};

// The bits are already well mixed.
struct KeyHash {
  using is_avalanching = void;
  std::size_t operator()(const Key& key) const noexcept { return key.low; }
};

}  // namespace purgeline
