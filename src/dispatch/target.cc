#include "dispatch/target.h"

#include <algorithm>
#include <utility>

#include "dispatch/address.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

using State = Connection::State;

// Caches keep an idle connection for at least some seconds.
constexpr Duration kIdleAtLeast = std::chrono::seconds(1);
// What a configuration may ask for; a changed one may ask for more than the one at the start.
constexpr std::uint32_t kMostConnections = 64;
constexpr std::uint32_t kMostDepth = 1024;

// The transport's words in the words of the metrics.
LinkError link_error(Errc why) {
  switch (why) {
    case Errc::refused:
    case Errc::not_found:  // a Unix socket's file that is not there
    case Errc::permission:
      return LinkError::refused;
    case Errc::timed_out:
      return LinkError::timed_out;
    case Errc::none:
    case Errc::closed:
      return LinkError::closed;
    case Errc::reset:
      return LinkError::reset;
    default:
      return LinkError::other;
  }
}

}  // namespace

Target::Target(const DispatchOptions& options, TargetSpec spec, const DispatchSeams& seams)
    : options_(options),
      spec_(std::move(spec)),
      seams_(seams),
      held_(kMostConnections),
      depth_(spec_.depth),
      fixed_(fixed_address(spec_.endpoint)) {
  CHECK(spec_.connections > 0 && spec_.depth > 0);
  CHECK(spec_.max_attempts > 0);
  CHECK(options_.backoff_initial.count() > 0 && options_.backoff_max >= options_.backoff_initial);
  CHECK(spec_.connections <= kMostConnections && spec_.depth <= kMostDepth);
  while (connections_.size() < spec_.connections) {
    connections_.push_back(
        std::make_unique<Connection>(seams_.transport, kMostDepth, options_.user_agent));
  }
}

// Connections may still be open, in a simulated crash: then the transport has gone before.
Target::~Target() {
  if (resolving_) seams_.resolver.cancel(*this);
}

std::size_t Target::count(State state) const {
  return static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [state](const auto& connection) { return connection->state() == state; }));
}

bool Target::has_closed() const {
  const auto staying = this->staying();
  return std::any_of(staying.begin(), staying.end(),
                     [](const auto& connection) { return connection->state() == State::closed; });
}

TargetMetrics Target::metrics() const {
  TargetMetrics metrics = metrics_;
  metrics.in_flight = static_cast<double>(in_flight_);
  metrics.connections = static_cast<double>(count(State::open));
  metrics.unproven = unproven_ ? 1 : 0;
  return metrics;
}

void Target::alter(const TargetSpec& spec) {
  CHECK(spec.id == spec_.id && spec.endpoint.text == spec_.endpoint.text);
  CHECK(spec.connections > 0 && spec.connections <= kMostConnections);
  CHECK(spec.depth > 0 && spec.depth <= kMostDepth && spec.max_attempts > 0);
  spec_ = spec;
  if (!spec_.proof && std::exchange(unproven_, false) && listener_ != nullptr) {
    listener_->on_target_proof(spec_.id, false);
  }
  depth_ = spec_.depth;  // a cache that closes after each answer says so again with the next one
  // Those that are in use stay rather than those that are not.
  std::stable_partition(connections_.begin(), connections_.end(),
                        [](const auto& connection) { return connection->state() == State::open; });
  while (connections_.size() < spec_.connections) {
    connections_.push_back(
        std::make_unique<Connection>(seams_.transport, kMostDepth, options_.user_agent));
  }
}

// After all of them were settled: one that is closed has then told why, and what it had in flight.
void Target::settle_surplus() {
  if (connections_.size() <= spec_.connections) return;
  const auto first = connections_.begin() + static_cast<std::ptrdiff_t>(spec_.connections);
  for (auto at = first; at != connections_.end(); ++at) {
    const State state = (*at)->state();
    if (state == State::connecting || (state == State::open && (*at)->in_flight() == 0))
      (*at)->close();
  }
  connections_.erase(
      std::remove_if(first, connections_.end(),
                     [](const auto& connection) { return connection->state() == State::closed; }),
      connections_.end());
}

// What is held was never sent, so it goes back at once.
void Target::drain(MonoTime until) {
  if (draining_) {
    drain_until_ = std::min(drain_until_, until);
    return;
  }
  draining_ = true;
  drain_until_ = until;
  if (std::exchange(resolving_, false)) seams_.resolver.cancel(*this);
  release_held();
}

bool Target::idle() const {
  return in_flight_ == 0 && held_.empty() && count(State::closed) == connections_.size();
}

// ---- what has happened

void Target::settle(MonoTime now) {
  settle_resolve(now);
  for (const auto& connection : connections_) settle(*connection, now);
  settle_surplus();
  if (draining_) settle_drain(now);
}

// The order matters. Answers first: they were complete, whatever came after them. Then what made
// the connection useless, which explains an end better than the end itself. Time-outs last: an
// answer that has come, however late, is better than a retry.
void Target::settle(Connection& connection, MonoTime now) {
  if (connection.take_opened()) {
    ++metrics_.connects;
    connect_failures_ = 0;
  }
  while (connection.has_answer()) {
    const Connection::InFlight done = connection.take_answer(now);
    depth_ = done.answer.keep_alive ? spec_.depth : 1;
    judge(done, now);
  }
  const std::optional<Connection::End> end = connection.take_end();
  const bool asked = end ? end->asked : connection.state() != State::open;
  if (connection.trouble() == Connection::Trouble::malformed && !asked) {
    break_off(connection, LinkError::malformed, now);
  } else if (connection.trouble() == Connection::Trouble::last_answer) {
    give_back(connection, 0, false);  // it was announced, so nobody is suspected
  } else if (end) {
    settle_end(connection, *end, now);
  } else if (connection.state() == State::open && connection.in_flight() > 0 &&
             now >= connection.waiting_since() + spec_.request_timeout) {
    break_off(connection, LinkError::timed_out, now);
    connection.close();
  } else if (connection.state() == State::connecting &&
             now >= connection.opened_at() + spec_.connect_timeout) {
    connection.close();
    connect_failed(LinkError::timed_out, "connecting timed out", now);
  }
  if (connection.trouble() != Connection::Trouble::none && connection.state() == State::open) {
    connection.close();
  }
  CHECK(connection.state() == State::open || connection.in_flight() == 0);
}

// An end that was not asked for.
void Target::settle_end(Connection& connection, const Connection::End& end, MonoTime now) {
  CHECK(connection.state() == State::closed);
  if (end.asked) {  // settled when it was asked for
    CHECK(connection.in_flight() == 0);
    return;
  }
  if (!end.established) {
    CHECK(connection.in_flight() == 0);
    connect_failed(link_error(end.why), std::string("cannot connect: ") + errc_name(end.why), now);
    return;
  }
  if (connection.in_flight() == 0) {
    // Idle for too long: ordinary, and not worth a word. Unless it never was of any use: who
    // accepts and closes at once would otherwise be connected to without a pause.
    if (connection.useful() || now >= connection.opened_at() + kIdleAtLeast) return;
    count_error(link_error(end.why));
    failed("closes connections at once", 0, now);
    return;
  }
  count_error(link_error(end.why));
  const bool seen = connection.handed() > 0;
  if (seen && connection.exclusive()) {
    const Delivery delivery = connection.at(0).delivery;
    connection.clear();
    --in_flight_;
    judge_lonely(delivery, now);
  } else {
    give_back(connection, 0, seen);
  }
  failed("closes connections unanswered", 0, now);
}

// The name service gets as long as a connection may take, and its failure is the same to us as long
// as no address is known at all.
void Target::settle_resolve(MonoTime now) {
  if (!resolving_) return;
  if (!resolve_answer_ && now < resolve_deadline_) return;
  resolving_ = false;
  std::string why = "the name service does not answer";
  if (!resolve_answer_) {
    seams_.resolver.cancel(*this);
  } else if (resolve_answer_->has_value()) {
    CHECK(!(*resolve_answer_)->empty());
    addresses_ = std::move(**resolve_answer_);
    resolve_answer_.reset();
    resolved_ = true;
    return;
  } else {
    why = "cannot resolve " + spec_.endpoint.host + ": " + resolve_answer_->error().detail;
  }
  resolve_answer_.reset();
  if (addresses_.empty()) {
    connect_failed(LinkError::resolve, why, now);
  } else {  // the last addresses are better than none
    count_error(LinkError::resolve);
    resolved_ = true;
  }
}

void Target::on_resolved(Result<std::vector<Address>> addresses) {
  if (resolving_) resolve_answer_ = std::move(addresses);
}

void Target::settle_drain(MonoTime now) {
  for (const auto& connection : connections_) {
    if (now >= drain_until_) give_back(*connection, 0, false);
    const bool useless = connection->state() == State::open && connection->in_flight() == 0;
    if (useless || connection->state() == State::connecting) connection->close();
  }
}

// ---- connecting

// Host names are looked up anew for each connection, so that a cache that moved is found without a
// restart.
void Target::connect(MonoTime now) {
  if (!fixed_ && !resolved_) {
    resolving_ = true;
    resolve_deadline_ = now + spec_.connect_timeout;
    seams_.resolver.resolve(spec_.endpoint.host, spec_.endpoint.port, *this);
    return;
  }
  const auto staying = this->staying();
  const auto free = std::find_if(staying.begin(), staying.end(), [](const auto& connection) {
    return connection->state() == State::closed;
  });
  CHECK(free != staying.end());
  CHECK(fixed_ || !addresses_.empty());
  (*free)->open(fixed_ ? *fixed_ : addresses_[next_address_ % addresses_.size()], now);
}

// One connection that fails among others that work is no reason to stop.
void Target::connect_failed(LinkError error, std::string_view why, MonoTime now) {
  count_error(error);
  ++connect_failures_;
  ++next_address_;
  if (error != LinkError::resolve && connect_failures_ < addresses_.size()) {
    resolved_ = true;  // another address of the same name, at once
    return;
  }
  connect_not_before_ = now + backoff(connect_failures_);
  if (count(State::open) > 0) return;
  if (state_ != TargetState::down) {
    // failed() opens the breaker on its own only after several failures; without any connection one
    // will do.
    enter(TargetState::down, why, 0);
  }
  failed(why, 0, now);
}

// One at a time: while one is on its way it is not known whether the target can be reached at all.
bool Target::wants_connection(MonoTime now) const {
  if (resolving_ || count(State::connecting) > 0 || !has_closed()) return false;
  const bool work = !held_.empty() || seams_.queue.ready(spec_.id);
  const std::size_t open = count(State::open);
  if (probing()) return work && open == 0 && in_flight_ == 0 && now >= next_probe_;
  if (now < connect_not_before_) return false;
  if (open == 0) return work;
  // One connection is the cheapest for the cache; more when it does not keep up, so that a slow
  // answer does not hold up everything behind it.
  const Connection* least = emptiest();
  if (least == nullptr) return work;
  if (!held_.empty()) return least->in_flight() > 0;
  if (depth_ == 1) return work && least->in_flight() > 0;
  return least->in_flight() * 2 >= depth_;
}

// ---- deliveries

// Never more than can be written: what is taken counts as started, and joins nobody else's purge.
bool Target::may_take(MonoTime now) const {
  if (draining_ || held_.size() >= spec_.connections || in_flight_ + held_.size() >= capacity())
    return false;
  if (!probing()) return true;
  return in_flight_ == 0 && held_.empty() && now >= next_probe_;
}

// The open connection with the fewest deliveries in flight, whether or not there is room.
Connection* Target::emptiest() const {
  Connection* best = nullptr;
  for (const auto& connection : staying()) {
    if (connection->state() != State::open || connection->exclusive() ||
        connection->trouble() != Connection::Trouble::none) {
      continue;
    }
    if (best == nullptr || connection->in_flight() < best->in_flight()) best = connection.get();
  }
  return best;
}

// Everything is collected first and sent at the end: many requests per send are what makes this
// cheap, for us and for the cache.
void Target::work(MonoTime now) {
  if (!draining_) {
    place_held(now);
    take(now);
    if (wants_connection(now)) connect(now);
    resolved_ = false;  // looked up for now, not for later
  }
  for (const auto& connection : connections_) connection->flush();
}

// A delivery that is to be alone needs an empty connection.
void Target::place_held(MonoTime now) {
  while (!held_.empty()) {
    Connection* connection = emptiest();
    if (connection == nullptr || connection->in_flight() > 0) return;
    if (!connection->has_room(spec_.depth)) return;
    const Held held = held_.pop_front();
    CHECK(held.delivery.alone);
    send(*connection, held.delivery, held.taken, now);
  }
}

// The emptiest connection first, so that a slow answer holds up as few as possible.
void Target::take(MonoTime now) {
  while (may_take(now)) {
    // While somebody waits for an empty connection, the emptiest one gets nothing new.
    const Connection* reserved = held_.empty() ? nullptr : emptiest();
    Connection* best = nullptr;
    for (const auto& connection : staying()) {
      if (connection.get() == reserved || !connection->has_room(depth_)) continue;
      if (best == nullptr || connection->in_flight() < best->in_flight()) best = connection.get();
    }
    if (best == nullptr) return;
    const std::optional<Delivery> delivery = seams_.queue.take(spec_.id);
    if (!delivery) return;
    CHECK(delivery->target == spec_.id);
    if (delivery->alone && best->in_flight() > 0)
      held_.push_back(Held{*delivery, now});
    else
      send(*best, *delivery, now, now);
  }
}

void Target::send(Connection& connection, const Delivery& delivery, MonoTime taken, MonoTime now) {
  CHECK(!delivery.alone || connection.in_flight() == 0);
  if (connection.write(delivery, taken, now)) {
    // Not CHECKed against capacity(): what was taken under other limits may be more.
    ++in_flight_;
    return;
  }
  // Nothing that can split a request is ever sent, whatever let it come this far.
  Outcome outcome;
  outcome.result = AttemptResult::refused;
  outcome.attempts = delivery.attempts;
  report(delivery, outcome);
}

// ---- when

std::optional<MonoTime> Target::next_due(MonoTime now) const {
  MonoTime due = MonoTime::max();
  const auto consider = [&due](MonoTime when) {
    due = std::min(due, when);
  };
  bool connecting = resolving_;
  if (resolving_) consider(resolve_deadline_);
  for (const auto& connection : connections_) {
    if (connection->state() == State::connecting) {
      connecting = true;
      consider(connection->opened_at() + spec_.connect_timeout);
    } else if (connection->state() == State::open && connection->in_flight() > 0) {
      consider(connection->waiting_since() + spec_.request_timeout);
    }
  }
  if (draining_) {
    if (in_flight_ > 0) consider(drain_until_);
  } else if (!connecting && (!held_.empty() || seams_.queue.ready(spec_.id))) {
    // A moment that has passed was used in the turn before: what is still missing, an event
    // announces.
    if (probing() && in_flight_ == 0 && next_probe_ > now) consider(next_probe_);
    if (!probing() && connect_not_before_ > now) consider(connect_not_before_);
  }
  if (due == MonoTime::max()) return std::nullopt;
  return due;
}

}  // namespace purgeline
