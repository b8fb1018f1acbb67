// The pages of freshness_bench: what was edited when, and which answers were older than that.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "freshness_loop.h"

namespace purgeline::bench {

struct FreshnessCounts {
  std::uint64_t edits{0};
  std::uint64_t reads{0};
  std::uint64_t failed_reads{0};
  std::uint64_t stale_reads{0};  // older than an edit that was made before they were asked for
  std::uint64_t late_reads{0};   // the same, by an edit that was made longer ago than the bound
  std::uint64_t late_edits{0};   // edits that such an answer did not show
  std::uint64_t fetches{0};
  std::uint64_t edits_in_fetch{
      0};                        // a fetch of the page was in flight when its purge was asked for
  std::uint64_t old_fetches{0};  // answers that were out of date when they were given
  Micros longest_fetch{0};
};

class World {
 public:
  World(std::uint32_t pages, Micros bound);

  [[nodiscard]] std::uint32_t pages() const { return static_cast<std::uint32_t>(pages_.size()); }
  [[nodiscard]] const FreshnessCounts& counts() const { return counts_; }

  // The page has a new version, which the origin shows so much later; its purge is asked for now.
  void edit(std::uint32_t page, Moment at, Micros lag);

  // Returns the version that is shown.
  std::uint32_t begin_fetch(std::uint32_t page, Moment at);
  void end_fetch(std::uint32_t page, std::uint32_t version, Moment::duration lasted);

  // An answer with this version to somebody who asked then.
  void read(std::uint32_t page, std::uint32_t version, Moment asked);
  void failed_read() { ++counts_.failed_reads; }

  // For each time from an edit to the last answer that did not show it, in steps: how many edits.
  // Those that no answer missed are at 0.
  [[nodiscard]] std::map<long, std::uint64_t> times_to_fresh(Micros step) const;

 private:
  struct Edit {
    Moment made;
    Moment shown;
    Micros stale_for{0};
    bool late{false};
  };
  struct Page {
    std::vector<Edit> edits;  // version N is the page after N of them
    std::uint32_t in_flight{0};
  };

  std::vector<Page> pages_;
  Micros bound_;
  FreshnessCounts counts_;
};

}  // namespace purgeline::bench
