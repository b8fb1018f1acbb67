#include "coalesce/versions.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

const Versions::Sample& Versions::at(std::size_t index) const {
  CHECK(index < size_);
  return samples_[(head_ + index) % kSamples];
}

void Versions::observe_end(MonoTime now, Offset end, Duration spacing) {
  if (size_ > 0) {
    Sample& newest = samples_[(head_ + size_ - 1) % kSamples];
    CHECK(now >= newest.last);
    if (end < newest.end) {
      // The partition was made anew or lost its tail: what was seen before says nothing any more.
      head_ = size_ = 0;
      oldest_.reset();
      evicted_ = false;
    } else if (end == newest.end) {
      newest.last = now;
      return;
    } else if (now - newest.first < spacing) {
      // Too close to be worth a sample: the floor of the next offsets stays a little early, which
      // the margin covers, and `beyond` is found a little later, which is safe.
      return;
    }
  }
  const Sample sample{now, now, end};
  if (!oldest_) oldest_ = sample;
  if (size_ == kSamples) {
    head_ = (head_ + 1) % kSamples;
    --size_;
    evicted_ = true;
  }
  samples_[(head_ + size_) % kSamples] = sample;
  ++size_;
}

Versions::Bounds Versions::bounds(Offset offset) const {
  Bounds result;
  if (!oldest_) {
    result.floor_known = false;
    return result;
  }
  if (oldest_->end > offset) {  // there before we first looked
    result.beyond = oldest_->first;
    return result;
  }
  for (std::size_t i = 0; i < size_; ++i) {
    const Sample& sample = at(i);
    if (sample.end <= offset) {
      result.floor = sample.last;
    } else {
      result.beyond = sample.first;
      break;
    }
  }
  result.floor_known = result.floor.has_value() || !evicted_;
  return result;
}

Version Versions::of(const VersionInput& input, const VersionClocks& clocks) const {
  Version version{clocks.now, false};
  const Bounds seen = bounds(input.offset);
  if (seen.beyond) version.at = std::min(version.at, *seen.beyond);
  if (!clocks.margin || !clocks.wall_trusted) return version;

  std::optional<WallTime> told = input.event_time;
  if (input.log_time && (!told || *input.log_time > *told)) told = input.log_time;
  if (!told) return version;
  if (*told > clocks.wall + *clocks.margin) {
    version.future_dated = true;
    return version;
  }
  if (!seen.floor_known) return version;
  // Differences to this host's wall clock are taken now, so that a jump between two events of one
  // purge cannot reorder what the monotonic clock has already fixed.
  MonoTime bound = clocks.now - (clocks.wall - *told);
  if (seen.floor) bound = std::max(bound, *seen.floor);
  version.at = std::min(version.at, bound + *clocks.margin);
  return version;
}

}  // namespace purgeline
