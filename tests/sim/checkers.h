// What is true in the simulated world, and the promises held against it.
//
// Nothing here asks the program: that a page changed is known from its producer, that it was purged
// from the caches, that it was given up from the disk, and what the program answers for from the
// commits that it asks for.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/stores.h"
#include "sim/sim_content.h"
#include "sim/sim_stores.h"
#include "sim/sim_transport.h"

namespace purgeline::sim {

// One event in one log. The same change may be in several.
struct TrueEvent {
  std::string url;
  MonoTime changed{};   // the page shows the change from here on
  MonoTime appended{};  // it is in the log
  std::int64_t offset{0};
  bool wanted{true};               // to be purged: not malformed, not foreign
  bool gone{false};                // the log lost it: retention, or the topic was made anew
  bool done{false};                // seen to have ended
  MonoTime read{MonoTime::max()};  // first handed to the program, in its present life
  bool live{false};                // and not as part of a backlog
  MonoTime done_at{MonoTime::max()};
  const std::pair<std::string, std::int32_t>* log{nullptr};  // where it is
};

// Promises that hold only in some worlds.
struct CheckOptions {
  std::vector<std::vector<std::uint16_t>> layers;  // ports
  Duration layer_deadline{0};
  Duration window{0};
  // URLs change once each: then every purge has one reason, and order can be checked exactly.
  bool unique{false};
  // No URL makes caches close: then one that never fails is purged in time, whatever the others do.
  bool prompt{true};
  // The program has fences for these times: no commit before them, and none late.
  bool fences{false};
  // Nobody may be served an old page for longer than these times allow; else it is counted.
  bool fresh{false};
  // There is room for all fences: none has to be made up for later.
  bool room{true};
  FillTimes times{};
  // With peers (freshness_peers.cc): a frontend's fence waits for their backends' fences, as its
  // purge does; and what a peer has done is known here so much later where nothing goes wrong.
  bool fence_barrier{false};
  bool reads_only{false};  // what peers' caches got does not count, only what readers get
  Duration travel{0};
};

class Checker {
 public:
  Checker(CheckOptions options, SimClock& clock, SimTransport& transport, const LetterDisk& disk)
      : options_(std::move(options)), clock_(clock), transport_(transport), disk_(disk) {
    epochs_.push_back({MonoTime::min(), options_.layers});
  }

  // ---- what happens in the world
  void appended(const PartitionName& name, TrueEvent event);
  void trimmed(const PartitionName& name, Offset low);
  void recreated(const PartitionName& name);
  void cluster(std::int64_t shift, const PartitionName& name, Offset low);
  // `live`: not as part of a backlog, which may be read for some targets only.
  void read(const PartitionName& name, Offset offset, bool live = true);
  // The program starts: `from_log` and `from_disk` are what it finds.
  void started(const PartitionName& name, std::optional<Position> from_log,
               std::optional<Position> from_disk);
  void program_started();
  void program_ended();
  // The program leaves a target out of live purging, and takes it in again. One that never failed
  // may not be left out, unless there is a reason.
  void left_out(const std::string& target, bool reason = false);
  void taken_in(const std::string& target);
  // From now on the program has these layers. An event owes itself to the targets that there are
  // from its reading to its end.
  void configured(const std::vector<std::vector<std::uint16_t>>& layers);
  void removed(const std::string& target);
  // Hosts whose first layers fill the second layer here too. They have the same log.
  void set_peers(std::vector<Checker*> peers) { peers_ = std::move(peers); }
  // The program does not wait for a peer any more, or does again. One that nothing has happened to
  // may not be left out: then there is no reason.
  void peer_left_out(const std::string& host, bool reason);
  void peer_taken_in(const std::string& host);
  // What one has missed is purged once more.
  void peer_caught_up() { caught_up_.push_back(clock_.now()); }
  // From now until then something that peers have said is not known here.
  void peers_late(MonoTime until) { peers_late_.push_back({clock_.now(), until}); }
  void set_prompt(bool prompt) { options_.prompt = prompt; }
  void set_fences(bool fences, bool fresh) {
    options_.fences = fences;
    options_.fresh = fresh;
  }

  // ---- promises
  // Promise 1, at the very moment: `store` tells the two apart.
  // `of_former_log`: the topic was made anew and the program cannot know yet.
  void committing(const Commit& commit, bool to_log, const std::string& cluster,
                  bool of_former_log);
  // Promises 1 to 3 of everything that was appended, when the world has come to rest.
  void at_end();
  // Promise 2 and 6 of each purge and event.
  void order();
  void dead_letters_have_reasons();
  // Promise 4 (freshness.cc): of each page that somebody gets, and of each event.
  void read_page(const PageRead& read);
  void fences_in_time();

  void fail(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }
  // Empty, or the first promise that was broken.
  [[nodiscard]] const std::string& violation() const { return violation_; }
  [[nodiscard]] std::size_t events() const;
  [[nodiscard]] std::uint64_t commits_with_letters() const { return commits_with_letters_; }
  [[nodiscard]] std::uint64_t fenced_events() const { return fenced_events_; }
  [[nodiscard]] std::uint64_t peers_were_last() const { return peers_were_last_; }
  [[nodiscard]] std::uint64_t stale_reads() const { return stale_reads_; }
  [[nodiscard]] std::uint64_t overdue_reads() const { return overdue_reads_; }

 private:
  struct Partition {
    std::vector<TrueEvent> events;  // of the present log, by offset
    std::uint32_t incarnation{0};
    std::size_t verified{0};         // events before it are done or gone
    std::optional<Offset> floor[2];  // no commit to disk, to the log may be below
  };
  using Name = std::pair<std::string, std::int32_t>;
  struct Settled {
    MonoTime at{MonoTime::max()};
    bool dead{false};
  };

  Partition& at(const PartitionName& name) { return partitions_[{name.topic, name.partition}]; }
  // When the first purge of `url` that took effect after `after` was answered well, or was given
  // up; looks at nothing later than `until`.
  [[nodiscard]] Settled settled(const std::string& url, std::uint16_t port, MonoTime after,
                                MonoTime until) const;
  struct Epoch {  // a configuration
    MonoTime from;
    std::vector<std::vector<std::uint16_t>> layers;
    [[nodiscard]] std::optional<std::size_t> layer_of(std::uint16_t port) const;
  };
  // Those that were there at some time between the two.
  [[nodiscard]] std::span<const Epoch> epochs(MonoTime from, MonoTime to) const;
  [[nodiscard]] std::string not_purged(const TrueEvent& event, std::uint16_t port,
                                       MonoTime after) const;
  [[nodiscard]] std::string missing_in(const Epoch& epoch, std::span<const Epoch> all,
                                       const TrueEvent& event, MonoTime until, bool* dead);
  // Empty: the event has ended on every target of every layer in order.
  [[nodiscard]] std::string missing(const TrueEvent& event, MonoTime until, bool* dead = nullptr);
  [[nodiscard]] std::string history(const std::string& url, MonoTime since) const;
  [[nodiscard]] std::string ms(MonoTime at) const;
  void order_of(std::uint16_t port, const SimTarget& target);
  [[nodiscard]] bool away(std::uint16_t port, MonoTime from, MonoTime to);
  void in_time(const std::string& url, MonoTime read);
  [[nodiscard]] static bool in_all(std::span<const Epoch> all, std::uint16_t port) {
    return std::all_of(all.begin(), all.end(),
                       [port](const Epoch& epoch) { return epoch.layer_of(port).has_value(); });
  }
  // freshness.cc
  [[nodiscard]] Settled fenced(const std::string& url, std::uint16_t port, MonoTime changed,
                               MonoTime due, MonoTime until) const;
  [[nodiscard]] std::string no_fence(const TrueEvent& event, std::uint16_t port,
                                     MonoTime due) const;
  [[nodiscard]] std::string unfenced(const Epoch& epoch, std::span<const Epoch> all,
                                     const TrueEvent& event, MonoTime until) const;
  [[nodiscard]] MonoTime fenced_by(const TrueEvent& event, std::uint16_t port, MonoTime due,
                                   bool first, MonoTime now) const;
  [[nodiscard]] MonoTime fresh_from(const TrueEvent& event, std::uint16_t port, MonoTime now);
  [[nodiscard]] std::string overdue(const TrueEvent& event, const PageRead& read);
  [[nodiscard]] bool given_up(const TrueEvent& event) const;
  void fence_in_time(const TrueEvent& event);
  // freshness_peers.cc
  [[nodiscard]] std::vector<std::uint16_t> first_of_peers() const;
  [[nodiscard]] const TrueEvent* same(const TrueEvent& event) const;
  [[nodiscard]] bool owed_for_peers(const PurgeSeen& purge, MonoTime made) const;
  [[nodiscard]] bool peer_was_out(MonoTime from, MonoTime to) const;
  [[nodiscard]] bool known_in_time(MonoTime from, MonoTime to) const;
  [[nodiscard]] MonoTime peers_fresh(const TrueEvent& event, MonoTime now);
  [[nodiscard]] bool armed(const PageRead& read) const;

  CheckOptions options_;
  SimClock& clock_;
  SimTransport& transport_;
  const LetterDisk& disk_;
  const MonoTime started_{clock_.now()};
  std::vector<Epoch> epochs_;
  std::map<Name, Partition> partitions_;
  std::map<std::string, std::vector<MonoTime>> reads_;  // by URL: every first reading in a life
  std::map<std::string, std::vector<MonoTime>> live_reads_;  // those of live readings
  std::map<std::string, MonoTime> first_appended_;           // by URL
  std::vector<MonoTime> dead_appended_;                      // events that will be given up
  std::vector<MonoTime> all_reads_;
  std::vector<MonoTime> ends_;  // of lives
  struct Absence {
    MonoTime from;
    MonoTime to{MonoTime::max()};
    [[nodiscard]] bool meets(MonoTime begin, MonoTime end) const {
      return from <= end && to >= begin;
    }
  };
  std::map<std::string, std::vector<Absence>> absences_;  // by target
  std::vector<Checker*> peers_;
  std::map<std::string, std::vector<Absence>> peers_out_;  // by host
  std::vector<Absence> peers_late_;
  std::vector<MonoTime> caught_up_;
  std::string violation_;
  std::uint64_t commits_with_letters_{0};
  std::uint64_t fenced_events_{0};
  std::uint64_t peers_were_last_{0};
  std::uint64_t stale_reads_{0};
  std::uint64_t overdue_reads_{0};
};

}  // namespace purgeline::sim
