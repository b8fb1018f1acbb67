#include "freshness_world.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::bench {

World::World(std::uint32_t pages, Micros bound) : pages_(pages), bound_(bound) {}

void World::edit(std::uint32_t page, Moment at, Micros lag) {
  Page& edited = pages_[page];
  ++counts_.edits;
  if (edited.in_flight > 0) ++counts_.edits_in_fetch;
  Moment shown = at + lag;
  if (!edited.edits.empty()) shown = std::max(shown, edited.edits.back().shown);
  edited.edits.push_back({at, shown, Micros(0), false});
}

std::uint32_t World::begin_fetch(std::uint32_t page, Moment at) {
  Page& fetched = pages_[page];
  ++counts_.fetches;
  ++fetched.in_flight;
  const auto hidden = std::find_if(fetched.edits.rbegin(), fetched.edits.rend(),
                                   [at](const Edit& edit) { return edit.shown <= at; });
  return static_cast<std::uint32_t>(fetched.edits.rend() - hidden);
}

void World::end_fetch(std::uint32_t page, std::uint32_t version, Moment::duration lasted) {
  Page& fetched = pages_[page];
  CHECK(fetched.in_flight > 0);
  --fetched.in_flight;
  if (version < fetched.edits.size()) ++counts_.old_fetches;
  counts_.longest_fetch = std::max(counts_.longest_fetch, duration_cast<Micros>(lasted));
}

void World::read(std::uint32_t page, std::uint32_t version, Moment asked) {
  std::vector<Edit>& edits = pages_[page].edits;
  CHECK(version <= edits.size());
  ++counts_.reads;
  bool stale = false;
  bool late = false;
  for (std::size_t missed = version; missed < edits.size(); ++missed) {
    Edit& edit = edits[missed];
    if (edit.made >= asked) break;
    const auto age = duration_cast<Micros>(asked - edit.made);
    edit.stale_for = std::max(edit.stale_for, age);
    stale = true;
    if (age <= bound_) continue;
    late = true;
    if (!edit.late) ++counts_.late_edits;
    edit.late = true;
  }
  counts_.stale_reads += stale ? 1 : 0;
  counts_.late_reads += late ? 1 : 0;
}

std::map<long, std::uint64_t> World::times_to_fresh(Micros step) const {
  std::map<long, std::uint64_t> times;
  for (const Page& page : pages_) {
    for (const Edit& edit : page.edits) {
      ++times[(edit.stale_for + step - Micros(1)) / step];
    }
  }
  return times;
}

}  // namespace purgeline::bench
