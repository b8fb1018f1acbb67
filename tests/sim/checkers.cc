#include "sim/checkers.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::sim {
namespace {

constexpr std::size_t kDeepest = 7;  // layers of a configuration, from 0

bool is_dead_kind(const std::string& url) {
  return url.find("/poison") != std::string::npos || url.find("/refused") != std::string::npos;
}

std::string text(const PartitionName& name) {
  return name.topic + "/" + std::to_string(name.partition);
}

}  // namespace

std::string Checker::ms(MonoTime at) const {
  if (at == MonoTime::max() || at == MonoTime::min()) return "never";
  return std::to_string(static_cast<double>((at - started_).count()) * 1e-9) + " s";
}

std::size_t Checker::events() const {
  std::size_t sum = 0;
  for (const auto& [name, partition] : partitions_) sum += partition.events.size();
  return sum;
}

// ---- what happens

void Checker::appended(const PartitionName& name, TrueEvent event) {
  const auto place = partitions_.try_emplace({name.topic, name.partition}).first;
  event.log = &place->first;
  Partition& partition = place->second;
  // What a test wrote itself is no event of this world.
  while (!partition.events.empty() && partition.events.back().offset + 1 < event.offset) {
    TrueEvent unknown;
    unknown.offset = partition.events.back().offset + 1;
    unknown.wanted = false;
    partition.events.push_back(unknown);
  }
  first_appended_.emplace(event.url, event.appended);
  if (event.wanted && is_dead_kind(event.url)) dead_appended_.push_back(event.appended);
  partition.events.push_back(std::move(event));
}

void Checker::trimmed(const PartitionName& name, Offset low) {
  for (TrueEvent& event : at(name).events) {
    if (event.offset < low.value()) event.gone = true;
  }
}

void Checker::recreated(const PartitionName& name) {
  Partition& partition = at(name);
  partition.events.clear();
  partition.verified = 0;
  ++partition.incarnation;
  for (auto& floor : partition.floor) floor.reset();
}

// The other cluster has the same events at other offsets.
void Checker::cluster(std::int64_t shift, const PartitionName& name, Offset low) {
  Partition& partition = at(name);
  std::erase_if(partition.events,
                [low](const TrueEvent& event) { return event.offset < low.value(); });
  for (TrueEvent& event : partition.events) event.offset += shift;
  partition.verified = 0;
  for (auto& floor : partition.floor) floor.reset();
}

void Checker::read(const PartitionName& name, Offset offset, bool live) {
  Partition& partition = at(name);
  if (partition.events.empty()) return;
  const std::int64_t index = offset.value() - partition.events.front().offset;
  if (index < 0 || static_cast<std::size_t>(index) >= partition.events.size()) return;  // a test's
  TrueEvent& event = partition.events[static_cast<std::size_t>(index)];
  if (event.read != MonoTime::max()) return;
  event.read = clock_.now();
  event.live = live;
  all_reads_.push_back(clock_.now());
  if (event.wanted) reads_[event.url].push_back(clock_.now());
  if (event.wanted && live) live_reads_[event.url].push_back(clock_.now());
}

void Checker::program_started() {
  for (auto& [name, partition] : partitions_) {
    for (TrueEvent& event : partition.events) event.read = MonoTime::max();
  }
}

void Checker::started(const PartitionName& name, std::optional<Position> from_log,
                      std::optional<Position> from_disk) {
  // It may go on from either; from neither it may not fall behind.
  Partition& partition = at(name);
  std::optional<Offset> lowest;
  if (from_log && from_disk && from_log->cluster == from_disk->cluster) {
    lowest = std::min(from_log->offset, from_disk->offset);
  }
  for (auto& floor : partition.floor) floor = lowest;
}

// ---- promises

Checker::Settled Checker::settled(const std::string& url, std::uint16_t port, MonoTime after,
                                  MonoTime until) const {
  Settled result;
  const SimTarget& target = transport_.cache(port);
  const auto found = target.by_url.find(url);
  if (found != target.by_url.end()) {
    for (const std::size_t index : found->second) {
      const PurgeSeen& purge = target.seen[index];
      if (purge.good && purge.effect() > after && purge.answered <= until) {
        result.at = std::min(result.at, purge.answered);
      }
    }
  }
  for (const LetterDisk::Kept& kept : disk_.letters) {
    if (kept.at > after && kept.at <= until && kept.at < result.at &&
        kept.letter.target == target.name && kept.letter.host + kept.letter.path == url) {
      result = {kept.at, true};
    }
  }
  return result;
}

// In the order of any configuration that it met: one that is changed while an event is on its way
// purges it once more where that matters.
std::string Checker::missing(const TrueEvent& event, MonoTime until, bool* dead) {
  const MonoTime from = event.read == MonoTime::max() ? event.changed : event.read;
  const std::span<const Epoch> met = epochs(from, until);
  std::string wrong;
  for (const Epoch& epoch : met) {
    bool by_letter = false;
    wrong = missing_in(epoch, met, event, until, &by_letter);
    if (!wrong.empty()) continue;
    if (by_letter && dead != nullptr) *dead = true;
    return {};
  }
  return wrong;
}

std::string Checker::not_purged(const TrueEvent& event, std::uint16_t port, MonoTime after) const {
  return event.url + ", changed at " + ms(event.changed) + ", is not purged on " +
         transport_.cache(port).name + " after " + ms(after) + history(event.url, after);
}

std::string Checker::missing_in(const Epoch& epoch, std::span<const Epoch> all,
                                const TrueEvent& event, MonoTime until, bool* dead) {
  MonoTime after = event.changed;
  for (const auto& layer : epoch.layers) {
    MonoTime latest = after;
    for (const std::uint16_t port : layer) {
      if (!in_all(all, port)) continue;
      const Settled end = settled(event.url, port, after, until);
      if (end.at == MonoTime::max()) return not_purged(event, port, after);
      *dead = *dead || end.dead;
      latest = std::max(latest, end.at);
    }
    if (!options_.reads_only && &layer == &epoch.layers.front()) {
      const MonoTime own = latest;
      for (const std::uint16_t port : first_of_peers()) {
        const Settled end = settled(event.url, port, after, until);
        if (end.at == MonoTime::max()) return not_purged(event, port, after);
        latest = std::max(latest, end.at);
      }
      if (latest > own) ++peers_were_last_;
    }
    after = latest;
  }
  return options_.fences ? unfenced(epoch, all, event, until) : std::string();
}

std::optional<std::size_t> Checker::Epoch::layer_of(std::uint16_t port) const {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (std::find(layers[i].begin(), layers[i].end(), port) != layers[i].end()) return i;
  }
  return std::nullopt;
}

std::span<const Checker::Epoch> Checker::epochs(MonoTime from, MonoTime to) const {
  std::size_t first = 0;
  while (first + 1 < epochs_.size() && epochs_[first + 1].from <= from) ++first;
  std::size_t end = first + 1;
  while (end < epochs_.size() && epochs_[end].from <= to) ++end;
  return std::span(epochs_).subspan(first, end - first);
}

void Checker::configured(const std::vector<std::vector<std::uint16_t>>& layers) {
  if (epochs_.back().layers != layers) epochs_.push_back({clock_.now(), layers});
}

void Checker::removed(const std::string& target) {
  const auto found = absences_.find(target);
  if (found == absences_.end()) return;
  found->second.back().to = std::min(found->second.back().to, clock_.now());
}

// What a person needs to see why: every purge of the URL from a little before.
std::string Checker::history(const std::string& url, MonoTime since) const {
  std::string lines;
  for (const auto& [port, target] : transport_.caches()) {
    const auto found = target.by_url.find(url);
    if (found == target.by_url.end()) continue;
    for (const std::size_t index : found->second) {
      const PurgeSeen& purge = target.seen[index];
      if (purge.handed < since - std::chrono::seconds(2)) continue;
      lines += "\n  " + target.name + " handed " + ms(purge.handed) + " received " +
               ms(purge.received) + " answered " + ms(purge.answered) +
               (purge.good ? " well" : "") + (purge.lied ? " falsely" : "");
    }
  }
  return lines;
}

void Checker::committing(const Commit& commit, bool to_log, const std::string& cluster,
                         bool of_former_log) {
  Partition& partition = at(commit.name);
  const Offset offset = commit.position.offset;
  const std::string where = text(commit.name) + " at " + std::to_string(offset.value());
  if (commit.position.cluster != cluster) {
    fail(where + " is committed under cluster \"" + commit.position.cluster + "\" while \"" +
         cluster + "\" is read");
  }
  std::optional<Offset>& floor = partition.floor[to_log ? 1 : 0];
  if (of_former_log) return;
  if (floor && offset < *floor) {
    fail(where + " is committed after " + std::to_string(floor->value()));
  }
  floor = offset;
  for (std::size_t i = partition.verified; i < partition.events.size(); ++i) {
    TrueEvent& event = partition.events[i];
    if (event.offset >= offset.value()) break;
    partition.verified = i + 1;
    if (event.gone || !event.wanted || event.done) continue;
    bool dead = false;
    const std::string wrong = missing(event, clock_.now(), &dead);
    if (!wrong.empty()) {
      fail(where + " is committed past offset " + std::to_string(event.offset) + ": " + wrong);
    }
    if (dead) ++commits_with_letters_;
    if (options_.fences) ++fenced_events_;
    event.done = true;
    event.done_at = clock_.now();
  }
}

void Checker::at_end() {
  for (auto& [name, partition] : partitions_) {
    for (TrueEvent& event : partition.events) {
      if (event.gone || !event.wanted || event.done) continue;
      const std::string wrong = missing(event, clock_.now());
      if (!wrong.empty()) {
        fail("lost: " + name.first + "/" + std::to_string(name.second) + " offset " +
             std::to_string(event.offset) + ": " + wrong);
      }
    }
  }
  order();
  dead_letters_have_reasons();
  if (options_.fences) fences_in_time();
}

void Checker::order() {
  for (const auto& [port, target] : transport_.caches()) {
    order_of(port, target);
  }
  if (!options_.prompt) return;
  for (const auto& [url, reads] : live_reads_) {
    if (is_dead_kind(url)) continue;
    for (const MonoTime read : reads) in_time(url, read);
  }
}

// A cache that never fails gets the purge of a live event in time, whatever the backlog: on layer 1
// at once, on those behind it when the deadline of each layer before has come; each runs anew when
// a layer has answered late.
void Checker::in_time(const std::string& url, MonoTime read) {
  // Answers take a millisecond each; a restart reads much at once.
  const auto from =
      std::lower_bound(all_reads_.begin(), all_reads_.end(), read - std::chrono::seconds(3));
  const auto to = std::upper_bound(from, all_reads_.end(), read + std::chrono::seconds(1));
  const Duration slack = std::chrono::milliseconds(500 + 2 * (to - from));
  for (const auto& entry : transport_.caches()) {
    const SimTarget& target = entry.second;
    if (target.faulty) continue;
    const auto limit_of = [&](std::size_t layer) {
      const auto waits = static_cast<std::int64_t>(layer * (layer + 1) / 2);
      return read + options_.layer_deadline * waits + options_.window + slack;
    };
    // Through the deepest place that it had meanwhile.
    std::optional<std::size_t> deepest = 0;
    for (const Epoch& epoch : epochs(read, limit_of(kDeepest))) {
      const auto layer = epoch.layer_of(entry.first);
      deepest = deepest && layer ? std::optional(std::max(*deepest, *layer)) : std::nullopt;
    }
    if (!deepest) continue;
    const MonoTime limit = limit_of(*deepest);
    const bool ended = std::any_of(ends_.begin(), ends_.end(), [read, limit](MonoTime end) {
      return end >= read && end <= limit;
    });
    // What was in the log while somebody was away may be read for that one first.
    const auto in_log = first_appended_.find(url);
    const bool backlog =
        in_log != first_appended_.end() && in_log->second + std::chrono::seconds(1) < read &&
        std::any_of(absences_.begin(), absences_.end(), [&](const auto& of) {
          return std::any_of(of.second.begin(), of.second.end(), [&](const Absence& absence) {
            return absence.from <= read && absence.to >= in_log->second;
          });
        });
    if (ended || backlog || limit > clock_.now()) continue;
    const auto found = target.by_url.find(url);
    const bool purged =
        found != target.by_url.end() &&
        std::any_of(found->second.begin(), found->second.end(), [&](std::size_t index) {
          // One that covers it may have begun before it was read; the end of the run says whether.
          const PurgeSeen& purge = target.seen[index];
          return purge.handed <= limit &&
                 (purge.handed >= read || !options_.unique || purge.answered <= limit);
        });
    if (!purged) {
      fail(url + ", read at " + ms(read) + ", was held back from " + target.name +
           ", which never failed" + history(url, read));
    }
  }
}

// A purge of a later layer has a reason: the layer before has answered, or an earlier one has, or
// the event was read, and the deadline has passed once for each layer since then.
void Checker::order_of(std::uint16_t own, const SimTarget& target) {
  for (const PurgeSeen& purge : target.seen) {
    const Epoch& epoch = epochs(purge.handed, purge.handed).front();
    const auto depth = epoch.layer_of(own);
    if (!depth || *depth == 0) continue;  // the first, or on its way out
    if (purge.url.find("purgeline-probe") != std::string::npos) continue;
    const auto read = reads_.find(purge.url);
    MonoTime entered = read == reads_.end() ? MonoTime::max() : read->second.front();
    const auto in_log = first_appended_.find(purge.url);
    const MonoTime made = in_log == first_appended_.end() ? entered : in_log->second;
    // A target that was left out is waited for by nobody, and what it missed is purged there and on
    // the layers behind it as soon as it is back; at_end() asks for all of it in order.
    // What was on its way when the configuration changed goes on as it began, or once more.
    bool reason = epochs(made, purge.handed).size() > 1;
    reason = reason || owed_for_peers(purge, made);
    for (std::size_t layer = 0; layer <= *depth; ++layer) {
      for (const std::uint16_t port : epoch.layers[layer]) {
        reason = reason || away(port, made, purge.handed);
      }
    }
    for (std::size_t layer = 0; !reason && entered <= purge.handed; ++layer) {
      const auto between = static_cast<std::int64_t>(*depth - layer);
      reason = entered + options_.layer_deadline * between <= purge.handed;
      if (reason || layer == *depth) break;
      for (const std::uint16_t port : epoch.layers[layer]) {
        entered = std::max(entered, settled(purge.url, port, MonoTime::min(), purge.handed).at);
      }
    }
    if (reason) continue;
    return fail(purge.url + " purged on " + target.name + " at " + ms(purge.handed) +
                " before the layers in front of it" + history(purge.url, purge.handed));
  }
}

bool Checker::away(std::uint16_t port, MonoTime from, MonoTime to) {
  const auto found = absences_.find(transport_.cache(port).name);
  return found != absences_.end() && std::any_of(found->second.begin(), found->second.end(),
                                                 [from, to](const Absence& absence) {
                                                   return absence.from <= to && absence.to >= from;
                                                 });
}

void Checker::left_out(const std::string& target, bool reason) {
  absences_[target].push_back({clock_.now()});
  for (const auto& [port, cache] : transport_.caches()) {
    if (cache.name == target && !cache.faulty && !reason)
      fail(target + ", which never failed, is left out");
  }
}

void Checker::taken_in(const std::string& target) {
  absences_[target].back().to = clock_.now();
}

void Checker::program_ended() {
  ends_.push_back(clock_.now());
  for (auto& [host, absences] : peers_out_) {
    absences.back().to = std::min(absences.back().to, clock_.now());
  }
  for (auto& [target, absences] : absences_) {
    absences.back().to = std::min(absences.back().to, clock_.now());
  }
}

// Only what cannot be purged may be given up, unless its cache failed now and then.
void Checker::dead_letters_have_reasons() {
  for (const LetterDisk::Kept& kept : disk_.letters) {
    const std::string url = kept.letter.host + kept.letter.path;
    if (is_dead_kind(url)) continue;
    for (const auto& [port, target] : transport_.caches()) {
      if (target.name == kept.letter.target && !target.faulty) {
        fail(url + " became a dead letter (" + kept.letter.reason + ") on " + target.name +
             ", which never failed");
      }
    }
  }
}

}  // namespace purgeline::sim
