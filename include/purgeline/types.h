// The countable things of Purgeline, each with a type of its own.
//
// Conversions are explicit only, so an offset can never be taken for a partition. Times come in two
// kinds that do not convert into each other: MonoTime never jumps and orders events on this host;
// WallTime is what other hosts write into their messages, and may be wrong.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace purgeline {

template <class Tag, class Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  [[nodiscard]] constexpr Strong next() const { return Strong(static_cast<Rep>(value_ + 1)); }
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;

 private:
  Rep value_{};
};

// A position in one partition of a log. Kafka's offsets, and the journal's row numbers.
using Offset = Strong<struct OffsetTag, std::int64_t>;

// A (topic, partition) pair as the source numbers it: dense from 0, in order of discovery, and
// never reused while the process lives. Names are in PartitionName.
using PartitionId = Strong<struct PartitionTag, std::uint32_t>;

// One cache address, dense from 0 over all layers in configuration order.
using TargetId = Strong<struct TargetTag, std::uint16_t>;

// One other host that runs Purgeline, by its place among those that are waited for.
using PeerId = Strong<struct PeerTag, std::uint16_t>;

// One tier of caches, 0 = the backend layer, which is purged first.
using LayerId = Strong<struct LayerTag, std::uint8_t>;

using Duration = std::chrono::nanoseconds;

// Neither clock has a now(): time comes from the Clock seam (clock.h) only.
struct MonoEpoch {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonoEpoch>;
  static constexpr bool is_steady = true;
};
struct WallEpoch {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<WallEpoch>;
  static constexpr bool is_steady = false;
};
using MonoTime = MonoEpoch::time_point;
using WallTime = WallEpoch::time_point;  // nanoseconds since 1970-01-01T00:00:00Z

// Most targets one configuration may name: a partition's ledger keeps one bit per target.
inline constexpr std::size_t kMaxTargets = 32;

// A set of targets, bit per TargetId.
using TargetMask = std::uint32_t;
[[nodiscard]] constexpr TargetMask mask_of(TargetId target) {
  return TargetMask{1} << target.value();
}

// Most peers one host may wait for, and a set of them.
inline constexpr std::size_t kMaxPeers = 64;
using PeerMask = std::uint64_t;
[[nodiscard]] constexpr PeerMask mask_of(PeerId peer) {
  return PeerMask{1} << peer.value();
}

}  // namespace purgeline

template <class Tag, class Rep>
struct std::hash<purgeline::Strong<Tag, Rep>> {
  std::size_t operator()(purgeline::Strong<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
