// Promise 4: after its fences no cache has a page as it was before the change.
//
// For an event whose change was made at c, read at r (so that its version v is between the two),
// with L, F and H as configured:
//
// - At a commit past it each target of layer 1 was purged well by a purge that began at c + L + F
// or
//   later; with A1 for the latest of the first such answers, each of layer 2 by one that began at
//   A1 + H or later; and so on. From then on nobody is served an older page by anyone.
// - Before that, where nothing failed: layer 1 has had that purge, and serves nothing older, after
//   max(r + L + F, its first good purge) + grid + window + round trips; layer k+1 after
//   max(A of layer k + H, its first good purge) + window + round trips. Where a target may fail, A
//   is what was seen, as long as no purge of the URL has failed there meanwhile.
//
// What has no time to keep: a purge that failed, a target that is left out, a program that ends, an
// event of a backlog, one whose fence found no room. For them, the commit is the bound.
#include <algorithm>

#include "sim/checkers.h"

namespace purgeline::sim {

namespace {

constexpr std::int64_t kGridSteps = 16;

}  // namespace

// The first purge of `url` that began at `due` or later and was answered well, or that it was given
// up since the change.
Checker::Settled Checker::fenced(const std::string& url, std::uint16_t port, MonoTime changed,
                                 MonoTime due, MonoTime until) const {
  Settled result;
  const SimTarget& target = transport_.cache(port);
  if (const auto found = target.by_url.find(url); found != target.by_url.end()) {
    for (const std::size_t index : found->second) {
      const PurgeSeen& purge = target.seen[index];
      if (purge.good && purge.handed >= due && purge.answered <= until)
        result.at = std::min(result.at, purge.answered);
    }
  }
  for (const LetterDisk::Kept& kept : disk_.letters) {
    if (kept.at > changed && kept.at <= until && kept.at < result.at &&
        kept.letter.target == target.name && kept.letter.host + kept.letter.path == url) {
      result = {kept.at, true};
    }
  }
  return result;
}

std::string Checker::no_fence(const TrueEvent& event, std::uint16_t port, MonoTime due) const {
  return event.url + ", changed at " + ms(event.changed) + ", has no fence on " +
         transport_.cache(port).name + " since " + ms(due) + history(event.url, event.changed);
}

std::string Checker::unfenced(const Epoch& epoch, std::span<const Epoch> all,
                              const TrueEvent& event, MonoTime until) const {
  MonoTime due = event.changed + options_.times.lag + options_.times.fetch;
  for (const auto& layer : epoch.layers) {
    MonoTime latest = due;
    for (const std::uint16_t port : layer) {
      if (!in_all(all, port)) continue;
      const Settled end = fenced(event.url, port, event.changed, due, until);
      if (end.at == MonoTime::max()) return no_fence(event, port, due);
      latest = std::max(latest, end.at);
    }
    if (options_.fence_barrier && !options_.reads_only && &layer == &epoch.layers.front()) {
      for (const std::uint16_t port : first_of_peers()) {
        const Settled end = fenced(event.url, port, event.changed, due, until);
        if (end.at == MonoTime::max()) return no_fence(event, port, due);
        latest = std::max(latest, end.at);
      }
    }
    due = latest + options_.times.hit;
  }
  return {};
}

// When this target has had its fence for an event read at `read`, as far as that is known at `now`.
MonoTime Checker::fenced_by(const TrueEvent& event, std::uint16_t port, MonoTime due, bool first,
                            MonoTime now) const {
  const SimTarget& target = transport_.cache(port);
  const Duration grid = (options_.times.lag + options_.times.fetch) / kGridSteps;
  const Settled purged = settled(event.url, port, event.changed, now);
  if (purged.at == MonoTime::max()) return MonoTime::max();
  const MonoTime start = std::max(due + (first ? grid : Duration(0)), purged.at);
  if (!target.faulty) {
    const auto from = std::lower_bound(all_reads_.begin(), all_reads_.end(),
                                       event.read - std::chrono::seconds(3));
    const auto to = std::upper_bound(from, all_reads_.end(), start + std::chrono::seconds(1));
    return start + options_.window + std::chrono::milliseconds(500 + 2 * (to - from));
  }
  // A purge that is sent again may count from when it was sent first, so one that failed meanwhile
  // leaves no telling which the program took for the fence.
  const auto found = target.by_url.find(event.url);
  const bool failed = std::any_of(found->second.begin(), found->second.end(), [&](std::size_t at) {
    const PurgeSeen& purge = target.seen[at];
    return purge.handed >= event.read && purge.handed <= now &&
           !(purge.good && purge.answered <= now);
  });
  if (failed) return MonoTime::max();
  return fenced(event.url, port, event.changed, start, now).at;
}

// When nobody may get an older page from this target any more; never, when there is no telling.
MonoTime Checker::fresh_from(const TrueEvent& event, std::uint16_t port, MonoTime now) {
  if (!options_.prompt || !options_.room || !event.live || event.read > now) return MonoTime::max();
  const std::span<const Epoch> met = epochs(event.changed, now);
  const std::optional<std::size_t> depth = met.front().layer_of(port);
  if (met.size() > 1 || !depth) return MonoTime::max();
  for (const MonoTime end : ends_) {
    if (end >= event.changed && end <= now) return MonoTime::max();
  }
  MonoTime due = event.read + options_.times.lag + options_.times.fetch;
  for (std::size_t layer = 0;; ++layer) {
    MonoTime latest = due;
    for (const std::uint16_t one : met.front().layers[layer]) {
      if (away(one, event.changed, now)) return MonoTime::max();
      if (layer == *depth && one != port) continue;
      const MonoTime by = fenced_by(event, one, due, layer == 0, now);
      if (by == MonoTime::max()) return by;
      latest = std::max(latest, by);
    }
    if (layer == *depth) return latest;
    if (layer == 0 && !peers_.empty()) latest = std::max(latest, peers_fresh(event, now));
    if (latest == MonoTime::max()) return latest;
    due = latest + options_.times.hit;
  }
}

// What some cache refuses it may keep.
bool Checker::given_up(const TrueEvent& event) const {
  return std::any_of(disk_.letters.begin(), disk_.letters.end(), [&](const LetterDisk::Kept& kept) {
    return kept.at > event.changed && kept.letter.host + kept.letter.path == event.url;
  });
}

std::string Checker::overdue(const TrueEvent& event, const PageRead& read) {
  if (!event.wanted || event.gone || event.changed <= read.made) return {};
  if (epochs(event.changed, std::min(event.done_at, read.at)).size() > 1) return {};
  if (given_up(event) || !armed(read)) return {};
  const MonoTime removed = read.at - options_.times.hit;  // a cache may take a while to forget
  if (event.done_at < removed) return "its event was committed at " + ms(event.done_at);
  const MonoTime fresh = fresh_from(event, read.port, read.at);
  if (fresh < removed) return "it had to be fresh from " + ms(fresh) + " on";
  return {};
}

void Checker::read_page(const PageRead& read) {
  if (read.version == read.latest) return;
  ++stale_reads_;
  for (auto& [name, partition] : partitions_) {
    for (const TrueEvent& event : partition.events) {
      if (event.changed <= read.made || event.url != read.url) continue;
      const std::string why = overdue(event, read);
      if (why.empty()) continue;
      ++overdue_reads_;
      if (!options_.fresh) return;
      return fail("stale: " + read.url + " as of version " + std::to_string(read.version) + " of " +
                  std::to_string(read.latest) + ", fetched from " + ms(read.fetched) +
                  " on and stored at " + ms(read.stored) + ", is served by " +
                  transport_.cache(read.port).name + " at " + ms(read.at) + "; changed at " +
                  ms(event.changed) + ", read at " + ms(event.read) + ", " + why +
                  history(read.url, event.changed));
    }
  }
}

// A target that never fails has its fence in time, whether anybody reads or not.
void Checker::fences_in_time() {
  for (const auto& [name, partition] : partitions_) {
    for (const TrueEvent& event : partition.events) {
      if (event.gone || !event.wanted || given_up(event)) continue;
      fence_in_time(event);
    }
  }
}

void Checker::fence_in_time(const TrueEvent& event) {
  const std::span<const Epoch> met = epochs(event.changed, clock_.now());
  if (met.size() > 1) return;
  MonoTime due = event.changed + options_.times.lag + options_.times.fetch;
  for (const auto& layer : met.front().layers) {
    MonoTime latest = due;
    for (const std::uint16_t port : layer) {
      const Settled end = fenced(event.url, port, event.changed, due, clock_.now());
      const MonoTime limit = fresh_from(event, port, clock_.now());
      if (limit < clock_.now() && end.at > limit) {
        fail(event.url + ", changed at " + ms(event.changed) + " and read at " + ms(event.read) +
             ", has its fence on " + transport_.cache(port).name + " at " + ms(end.at) +
             " instead of " + ms(limit) + history(event.url, event.changed));
      }
      latest = std::max(latest, end.at);
    }
    if (options_.fence_barrier && &layer == &met.front().layers.front()) {
      for (const std::uint16_t port : first_of_peers()) {
        latest = std::max(latest, fenced(event.url, port, event.changed, due, clock_.now()).at);
      }
    }
    if (latest == MonoTime::max()) return;
    due = latest + options_.times.hit;
  }
}

}  // namespace purgeline::sim
