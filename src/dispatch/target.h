// Target: one cache. Its connections, what it is worth at the moment, and the verdict on every
// answer.
//
// Place:  owned by the Dispatcher, which calls settle() and then work() in each turn.
// Thread: the shard's.
// Bound:  connections * depth deliveries, in flight and held together.
//
// States, as TargetState. `up` and `unknown` take what fits. `down` (no connection can be made, or
// kFailuresToOpen failures in a row) and `denied` (every purge is refused) take one delivery as a
// probe: with growing pauses, or once a second; a good answer ends both.
//
// What each answer means is written down in target_judge.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/connection.h"
#include "dispatch/target_spec.h"
#include "purgeline/metrics.h"

namespace purgeline {

class Target : public ResolveHandler {
 public:
  // `options` and `seams` outlive it.
  Target(const DispatchOptions& options, TargetSpec spec, const DispatchSeams& seams);
  ~Target() override;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  void set_listener(TargetListener* listener) { listener_ = listener; }

  // Judges what has happened since the last turn: answers, ends, time-outs.
  void settle(MonoTime now);
  // Connects, takes deliveries and hands requests to the transport.
  void work(MonoTime now);
  // When something is due that no event announces; empty when there is nothing.
  [[nodiscard]] std::optional<MonoTime> next_due(MonoTime now) const;

  // Other limits. What is in flight is not touched; connections that are too many take nothing
  // more and are closed when they are idle. REQUIRES: it is the same target.
  void alter(const TargetSpec& spec);

  // A second call may only make it end earlier.
  void drain(MonoTime until);
  // Nothing in flight and no connection.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }
  [[nodiscard]] TargetState state() const { return state_; }
  // Its good answers do not show that a cache made them: what passes PURGE on to an origin that
  // says 200 to anything purges nothing.
  [[nodiscard]] bool unproven() const { return unproven_; }
  [[nodiscard]] TargetMetrics metrics() const;

  // ResolveHandler
  void on_resolved(Result<std::vector<Address>> addresses) override;

 private:
  struct Held {
    Delivery delivery;
    MonoTime taken{};
  };

  // ---- target.cc: connections and deliveries
  void settle(Connection& connection, MonoTime now);
  void settle_end(Connection& connection, const Connection::End& end, MonoTime now);
  void settle_resolve(MonoTime now);
  void settle_drain(MonoTime now);
  void settle_surplus();
  void connect(MonoTime now);
  void connect_failed(LinkError error, std::string_view why, MonoTime now);
  [[nodiscard]] bool wants_connection(MonoTime now) const;
  [[nodiscard]] bool may_take(MonoTime now) const;
  [[nodiscard]] Connection* emptiest() const;
  void take(MonoTime now);
  void place_held(MonoTime now);
  void send(Connection& connection, const Delivery& delivery, MonoTime taken, MonoTime now);
  [[nodiscard]] std::size_t count(Connection::State state) const;
  // Of those that are to stay.
  [[nodiscard]] std::span<const std::unique_ptr<Connection>> staying() const {
    return {connections_.data(), std::min<std::size_t>(connections_.size(), spec_.connections)};
  }
  [[nodiscard]] bool has_closed() const;
  [[nodiscard]] std::size_t capacity() const {
    return std::size_t{spec_.connections} * spec_.depth;
  }

  // ---- target_judge.cc: verdicts
  void judge(const Connection::InFlight& done, MonoTime now);
  void judge_retry(const Delivery& delivery, std::uint16_t status, MonoTime now);
  void judge_denied(const Delivery& delivery, std::uint16_t status, MonoTime now);
  void judge_lonely(const Delivery& delivery, MonoTime now);
  void break_off(Connection& connection, LinkError error, MonoTime now);
  // Reports the deliveries of a lost connection from index `from` on as unanswered, the last one
  // first.
  void give_back(Connection& connection, std::size_t from, bool suspect);
  void release_held();
  void report(const Delivery& delivery, const Outcome& outcome);
  void good(const Answer& answer, bool evidence);
  void judge_proof(bool proof);
  void failed(std::string_view why, std::uint16_t status, MonoTime now);
  void enter(TargetState next, std::string_view why, std::uint16_t status);
  void count_error(LinkError error) { ++metrics_.link_errors[static_cast<std::size_t>(error)]; }
  [[nodiscard]] bool probing() const {
    return state_ == TargetState::down || state_ == TargetState::denied;
  }
  [[nodiscard]] Duration backoff(std::uint32_t failures);
  // Good answers so far, as deliveries carry it. Compared for equality only: it may wrap.
  [[nodiscard]] std::uint32_t mark() const { return good_; }

  const DispatchOptions& options_;
  TargetSpec spec_;
  DispatchSeams seams_;
  TargetListener* listener_{nullptr};
  // Those beyond spec_.connections are on their way out.
  std::vector<std::unique_ptr<Connection>> connections_;
  Ring<Held> held_;  // to be alone, while no connection is empty; at most one per connection
  std::size_t in_flight_{0};
  std::uint32_t depth_;  // 1 while the cache closes after each answer

  std::optional<Address> fixed_;
  std::vector<Address> addresses_;
  std::size_t next_address_{0};
  bool resolving_{false};
  bool resolved_{false};  // addresses_ are fresh in this turn
  MonoTime resolve_deadline_{};
  std::optional<Result<std::vector<Address>>> resolve_answer_;
  std::uint32_t connect_failures_{0};  // in a row
  MonoTime connect_not_before_{MonoTime::min()};

  TargetState state_{TargetState::unknown};
  std::uint32_t good_{0};
  std::uint32_t alive_{0};     // good answers, those to probes among them
  std::uint32_t failures_{0};  // since the last good answer
  std::uint32_t denials_{0};   // since the last good answer
  std::uint32_t probes_{0};    // failed ones since the state was entered
  bool unproven_{false};
  bool ever_proven_{false};
  std::uint32_t without_proof_{0};  // good answers since the last that was one
  MonoTime next_probe_{MonoTime::min()};

  bool draining_{false};
  MonoTime drain_until_{};
  TargetMetrics metrics_;
};

}  // namespace purgeline
