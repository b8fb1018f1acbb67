// RejectRing: the last refused inputs, for a person who wants to see what was wrong.
//
// Place:  beside decode. Thread: the shard's. Bound: kKept inputs, the first kText bytes of each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "purgeline/event.h"
#include "purgeline/record.h"

namespace purgeline {

struct Reject {
  RejectReason reason{};
  PartitionId partition;
  Offset offset;
  WallTime at{};
  std::string text;     // how it began, bytes as they came: escape before printing
  std::size_t size{0};  // how long it was
};

class RejectRing {
 public:
  static constexpr std::size_t kKept = 64;
  static constexpr std::size_t kText = 512;

  void add(RejectReason reason, const Record& record, WallTime at) {
    Reject& reject = kept_[added_++ % kKept];
    reject.reason = reason;
    reject.partition = record.partition;
    reject.offset = record.offset;
    reject.at = at;
    reject.size = record.value.size();
    reject.text.assign(record.value.substr(0, kText));
  }
  [[nodiscard]] std::size_t size() const { return std::min<std::uint64_t>(added_, kKept); }
  // How many there ever were: another number, other contents.
  [[nodiscard]] std::uint64_t added() const { return added_; }
  // 0 is the newest.
  [[nodiscard]] const Reject& newest(std::size_t back) const {
    return kept_[(added_ - 1 - back) % kKept];
  }

 private:
  std::array<Reject, kKept> kept_;
  std::uint64_t added_{0};
};

}  // namespace purgeline
