// Journeys: each unfinished event on its way through the layers.
//
// Place:  between route and the coalescer. accept() starts an event at layer 1; when all targets of
// a
//         layer have settled it, it goes on to the next with the version that this layer passes on:
//         the latest answer of the purges that covered it. Until then the layer may have handed out
//         the old copy, so nothing that started earlier on the next layer will do.
// Thread: the shard's.
// Bound:  `events` unfinished events. room() says how many more fit; the caller reads no more than
// that.
//
// A layer that does not settle an event within `layer_deadline` does not hold the next one back any
// longer: a purge is sent ahead there. It settles nothing; the event still owes its ordinary purge
// there.
//
// An event of a backlog whose purges have been its fences so far does not go on to the next layer
// before its fence does: one purge is both there.
//
// Peers are like further targets of layer 1, on other hosts: an event that waits for them is not
// done there before the caller says that they are. It waits for its own layer 1 as ever, then the
// next layer is sent ahead at once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "coalesce/coalescer.h"
#include "coalesce/fences.h"
#include "coalesce/index_list.h"
#include "coalesce/layer_plans.h"
#include "coalesce/pool.h"
#include "purgeline/clock.h"
#include "purgeline/event.h"

namespace purgeline {

// What the caller wants back with each event: its place in the ledger of the reading it came by.
struct EventTicket {
  std::uint32_t reading{0};
  std::uint32_t stamp{0};  // the caller's own
  std::uint64_t sequence{0};
};

struct JourneyInput {
  Key key;
  KeyText text;
  MonoTime version{};
  EventTicket ticket;
  std::optional<WallTime> event_time;
  TargetMask targets{0};  // those that it is for; one that is left out may be among them
  Priority priority{Priority::live};
  EventOrigin origin{};
  bool peers{false};        // layer 1 waits for other hosts as well
  bool fence_peers{false};  // and so does the fence of the layers behind it
  // There are other hosts. What does not wait for them they have passed by now, and not before.
  bool among_peers{false};
};

struct FinishedEvent {
  EventTicket ticket;
  MonoTime arrived{};
  std::optional<WallTime> event_time;
  Priority priority{Priority::live};
  bool dead{false};      // a dead letter was kept for at least one target
  bool left_out{false};  // at least one target was left out before it was purged
};

class JourneySink {
 public:
  virtual ~JourneySink() = default;
  // One target is done with the event.
  virtual void on_target_done(const EventTicket& ticket, TargetId target) = 0;
  // All are. The event is forgotten when this returns.
  virtual void on_finished(const FinishedEvent& event) = 0;
};

struct JourneyOptions {
  std::uint32_t events{0};
  Duration layer_deadline{0};
  std::vector<std::vector<TargetId>> layers;  // in refill order, none empty
  std::uint32_t fences{1};                    // that may be due at once
  FenceTimes fence_times{};
};

class Journeys : public SettleSink, public FenceWaiter {
 public:
  Journeys(JourneyOptions options, Coalescer& coalescer, Clock& clock, JourneySink& sink);

  // How many more events are certain to fit.
  [[nodiscard]] std::uint64_t room() const;
  [[nodiscard]] std::uint32_t unfinished() const { return events_.used(); }
  [[nodiscard]] std::uint32_t unfinished_backlog() const { return backlog_; }
  // Events whose current layer waits for the target.
  [[nodiscard]] std::uint32_t pending(TargetId target) const { return pending_[target.value()]; }
  // REQUIRES: room() > 0. False: its fence found no room, so the event has to be read again for it.
  bool accept(const JourneyInput& input);

  // Sends ahead what the layer deadline has come for, and fences.
  void turn();
  [[nodiscard]] std::optional<MonoTime> next_due() const;
  [[nodiscard]] std::uint64_t sent_ahead() const { return sent_ahead_; }

  // ---- peers
  // Of a reading, the event that has waited for peers for longest.
  struct PeerWait {
    EventTicket ticket;
    MonoTime arrived{};
  };
  [[nodiscard]] std::optional<PeerWait> first_for_peers(std::uint32_t reading) const;
  // It waits no longer. REQUIRES: there is one.
  void pass_peers(std::uint32_t reading);
  // Readings are numbered below it.
  [[nodiscard]] std::uint32_t peer_lanes() const {
    return static_cast<std::uint32_t>(for_peers_.size());
  }
  [[nodiscard]] std::uint32_t waiting_for_peers() const { return waiting_for_peers_; }
  [[nodiscard]] std::uint64_t sent_before_peers() const { return sent_before_peers_; }

  // Targets that are behind. Events go on without one that is left out; what they owe it is the
  // caller's to remember, before it leaves it out.
  void leave_out(TargetId target);
  void take_in(TargetId target);
  [[nodiscard]] TargetMask left_out() const { return left_out_; }

  // Other layers, or other targets in them, for the events that are accepted from now on. Those in
  // flight go on through the layers that there were when they came. False, and nothing is changed:
  // events of too many former changes are in flight yet.
  [[nodiscard]] bool change_layers(std::vector<std::vector<TargetId>> layers) {
    return plans_.change(std::move(layers));
  }
  void set_layer_deadline(Duration deadline) { options_.layer_deadline = deadline; }
  // Nobody waits for the target any more, and nobody owes it anything. REQUIRES: the current layers
  // are without it.
  void remove(TargetId target);
  // Events in flight, or fences, may name it yet.
  [[nodiscard]] bool refers(TargetId target) const { return plans_.refers(target); }
  // Its number may be given to another. REQUIRES: it was removed, and nobody refers to it.
  void forget(TargetId target);

  void on_settled(std::uint32_t event, TargetId target, MonoTime answered, bool dead) override;
  void on_left_out(std::uint32_t event, TargetId target) override;
  void on_fence_due(std::uint32_t newest_event) override;
  // The ticket of an event that shares a delivery in flight.
  [[nodiscard]] EventTicket ticket(std::uint32_t event) const { return events_[event].ticket; }
  [[nodiscard]] Fences& fences() { return fences_; }
  [[nodiscard]] const Fences& fences() const { return fences_; }

 private:
  struct Event {
    EventTicket ticket;
    MonoTime arrived{};
    MonoTime version{};      // for the current layer
    MonoTime answered{};     // latest answer of the current layer so far
    MonoTime waits_since{};  // the next layer is sent ahead a deadline later
    WallTime event_time{};
    std::uint32_t key{kNone};
    TargetMask targets{0};
    ListPlace place;  // in the list of deadlines
    FenceRef fence;   // of an event of a backlog
    std::uint32_t parked_before{kNone};
    ListPlace lane;  // of those that wait for peers
    std::uint8_t plan{0};
    std::uint8_t layer{0};
    std::uint8_t pending{0};  // targets of the current layer that have not settled it
    std::uint8_t ahead{0};    // layers after the current one that were sent ahead
    bool timed{false};        // in the list of deadlines
    bool has_time{false};
    bool dead{false};
    bool left_out{false};
    bool peers{false};        // it waits for them
    bool after_peers{false};  // they passed it before it came, nobody knows when
    Priority priority{Priority::live};
  };
  using Lane = IndexList<Event, &Event::lane>;

  [[nodiscard]] const LayerPlans::Layers& layers_of(const Event& event) const {
    return plans_.layers(event.plan);
  }
  [[nodiscard]] bool want(std::uint32_t index, TargetId target);
  void target_settled(std::uint32_t index, TargetId target);
  void enter_layers(std::uint32_t index);
  void finish(std::uint32_t index);
  void start_deadline(std::uint32_t index);
  void stop_deadline(std::uint32_t index);
  void send_ahead(std::uint32_t index);
  void wait_for_peers(std::uint32_t index);
  void layer_done(std::uint32_t index);

  JourneyOptions options_;
  Coalescer& coalescer_;
  Clock& clock_;
  JourneySink& sink_;
  LayerPlans plans_;
  Fences fences_;
  Pool<Event> events_;
  IndexList<Event, &Event::place> deadlines_{events_};  // earliest first
  std::uint64_t sent_ahead_{0};
  std::vector<Lane> for_peers_;  // by the number of the reading, in order of arrival
  std::uint32_t waiting_for_peers_{0};
  std::uint64_t sent_before_peers_{0};
  TargetMask left_out_{0};
  TargetMask removed_{0};  // and of those, whom nothing is owed
  std::uint32_t backlog_{0};
  std::array<std::uint32_t, kMaxTargets> pending_{};
};

}  // namespace purgeline
