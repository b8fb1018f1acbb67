#include "app/pipeline.h"

#include <algorithm>
#include <utility>

#include "app/stage_options.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kReadBatch =
    512;  // records per partition and turn: a fraction of a millisecond

constexpr std::size_t kDropBatch = 4096;  // deliveries of a target that is left out, per turn

}  // namespace

Pipeline::Pipeline(const PurgeConfig& config, const LogConfig& log, HostMatcher hosts,
                   const PipelineSeams& seams)
    : config_(config),
      catch_up_(log.catch_up),
      clock_(seams.clock),
      source_(seams.source),
      dead_letters_(seams.dead_letters),
      log_(seams.log),
      watches_(seams.watches),
      targets_(config.layers),
      router_(std::move(hosts), config.max_age),
      coalescer_(coalescer_options(config, log), seams.clock),
      journeys_(journey_options(config, targets_.layers()), coalescer_, seams.clock, *this),
      probes_(coalescer_, kMaxTargets, seams.clock),
      dispatcher_(DispatchOptions{}, targets_.specs(), seams.transport, seams.resolver, seams.clock,
                  seams.random, probes_, *this),
      readings_(seams.source, targets_.layers(), config.coalesce.capacity),
      partitions_(partition_options(config, log), readings_, seams.source, seams.log_store,
                  seams.local_store, seams.clock, seams.log),
      absences_(config.behind_after, targets_.here().size()),
      audit_(config, targets_, seams.transport, seams.resolver, seams.clock, seams.random,
             seams.log),
      facts_(kMaxTargets),
      rate_since_(seams.clock.now()) {
  dispatcher_.set_listener(this);
  if (seams.peers != nullptr)
    peers_.emplace(*seams.peers, config, readings_, partitions_, journeys_, seams.clock, seams.log);
  room_of_all_ = journeys_.room();
}

void Pipeline::start() {
  dead_letters_.start(*this);
  partitions_.start();
}

void Pipeline::turn() {
  ++metrics_.turns;
  partitions_.poll();
  dead_letters_.poll();
  if (!dying_.empty()) give_dead_letters();
  if (const auto step = journeys_.fences().end_step()) readings_.end_step(*step);
  if (peers_) peers_->turn();
  read();
  journeys_.turn();
  for (const TargetId id : targets_.here()) probes_.set_state(id, dispatcher_.state(id));
  dispatcher_.turn();
  release_samples();
  watch_targets();
  if (!targets_.leaving().empty()) see_off();
  turn_audit();
  partitions_.turn();
  adapt_tick();
  report_backlog();
  if (ShardWatches* const watching = watches()) watching->turn(clock_.now(), facts_);
}

// Live readings first, and among them each partition in turn. A backlog gets what they leave: at
// least `min_share` of the records and of the table, at most half of the table.
void Pipeline::read() {
  more_to_read_ = more_at_once_ = held_back_ = false;
  const std::size_t count = draining_ ? 0 : partitions_.size();
  const std::uint64_t backlog = journeys_.unfinished_backlog();
  const std::uint64_t reserve =
      readings_.catching_up() ? config_.coalesce.capacity * catch_up_.min_share / 100 : 0;
  const std::uint64_t kept = reserve > backlog ? reserve - backlog : 0;
  journeys_.fences().set_catching_up(readings_.catching_up(), catch_up_.min_share);
  for (std::size_t i = 0; i < count; ++i) {
    const Partitions::Partition& partition = partitions_[(next_partition_ + i) % count];
    const auto live = readings_.live(partition.id);
    if (partition.state != Partitions::State::reading || !live) continue;
    const std::uint64_t room = journeys_.room();
    read(*live, room > kept ? room - kept : 0, kReadBatch);
  }
  const bool room_for_all = !held_back_;
  std::size_t batch = kReadBatch;
  if (more_to_read_) batch = kReadBatch * catch_up_.min_share / (100 - catch_up_.min_share);
  for (std::size_t i = 0; i < count; ++i) {
    const auto catch_up = readings_.catch_up(partitions_[(next_partition_ + i) % count].id);
    if (!catch_up || !readings_[*catch_up].cursor) continue;
    const std::uint64_t most = config_.coalesce.capacity / 2;
    const std::uint64_t used = journeys_.unfinished_backlog();
    const std::uint64_t fences = journeys_.fences().backlog_room();
    read(*catch_up, std::min({journeys_.room(), most > used ? most - used : 0, fences}),
         std::max<std::size_t>(1, batch));
  }
  ++next_partition_;
  held_room_ = journeys_.room();
  check_stalled(room_for_all);
}

void Pipeline::read(std::uint32_t number, std::uint64_t room, std::size_t batch) {
  const Reading& reading = readings_[number];
  room = std::min<std::uint64_t>(room, reading.ledger->room());
  const std::size_t credit = std::min<std::uint64_t>(room, batch);
  if (credit == 0) {
    held_back_ = true;
    return;
  }
  reading_now_ = number;
  const std::size_t got = source_.read(*reading.cursor, credit, *this);
  CHECK(got <= credit);
  if (got < credit) return;
  more_to_read_ = true;
  (credit < batch ? held_back_ : more_at_once_) = true;
}

// Full tables are ordinary while much is to be done, and a target that keeps them full is left out
// soon. They are a stall when nothing can make room.
void Pipeline::check_stalled(bool room) {
  if (room && !stalled_) return;  // as nearly always
  const bool stalled = !room && dead_letter_trouble_ && !dying_.empty();
  if (stalled == stalled_) return;
  stalled_ = stalled;
  if (stalled) {
    log_.write(LogLevel::error, "stalled",
               {{"unfinished", std::to_string(journeys_.unfinished())},
                {"why", "dead letters cannot be written: " + dead_letter_why_},
                {"effect", "no more events are read until they can"}});
  } else {
    log_.write(LogLevel::info, "reading again",
               {{"unfinished", std::to_string(journeys_.unfinished())}});
  }
}

// ---- targets that are behind

void Pipeline::watch_targets() {
  for (const TargetId id : targets_.here()) {
    AbsenceFacts& fact = facts_[id.value()];
    fact.state = dispatcher_.state(id);
    fact.pending = journeys_.pending(id);
    fact.idle = coalescer_.waiting(id) == 0 && dispatcher_.in_flight(id) == 0;
  }
  // Of the room there was: URLs are counted at their longest, so it may be far below the capacity.
  const bool tight = journeys_.room() < room_of_all_ / 8 || journeys_.fences().tight();
  more_to_drop_ = false;
  for (const TargetId id : targets_.here()) {
    const Absences::Verdict verdict = absences_.judge(id, facts_, tight, clock_.now());
    if (verdict.move == Absences::Move::leave_out) leave_out(id, verdict.why);
    if (verdict.move == Absences::Move::take_in) take_in(id);
    if (absences_.behind(id)) more_to_drop_ = coalescer_.drop_some(id, kDropBatch) || more_to_drop_;
  }
}

// In this order: what it is owed is known before its deliveries are let go.
void Pipeline::leave_out(TargetId id, const std::string& why) {
  const Target& target = targets_[id];
  readings_.leave_out(id);
  journeys_.leave_out(id);
  log_.write(LogLevel::error, "target behind",
             {{"target", target.name},
              {"layer", target.layer},
              {"why", why},
              {"effect", "left out until it answers well, then purged of all it missed"}});
}

void Pipeline::take_in(TargetId id) {
  const Target& target = targets_[id];
  const std::uint64_t missed = readings_.missed(id);
  readings_.take_in(id, clock_.now());
  journeys_.take_in(id);
  log_.write(LogLevel::info, "target live again",
             {{"target", target.name},
              {"layer", target.layer},
              {"missed", std::to_string(missed)},
              {"effect", "gets new purges at once, and what it missed beside them"}});
}

TopicMetrics& Pipeline::topic(const Partitions::Partition& partition) {
  if (topics_.size() <= partition.topic) topics_.resize(partition.topic + 1);
  return topics_[partition.topic];
}

void Pipeline::on_record(const Record& record) {
  Partitions::Partition& partition = partitions_.at(record.partition);
  Reading& reading = readings_[reading_now_];
  CHECK(reading.partition == record.partition);
  if (record.offset < reading.ledger->next()) {
    // Handed over a second time, for example after a reassignment: it has its place in the ledger.
    log_.write(LogLevel::warning, "offset went back",
               {{"topic", partition.name.topic},
                {"partition", std::to_string(partition.name.partition)},
                {"offset", std::to_string(record.offset.value())}});
    return;
  }
  ++partition.metrics.records;
  const DecodeResult decoded = decoder_.decode(record);
  if (decoded.kind == DecodeKind::canary) {
    finish_unpurged(partition, record, EventOutcome::canary);
    return;
  }
  if (decoded.kind == DecodeKind::rejected) {
    ++metrics_.rejected[static_cast<std::size_t>(decoded.reason)];
    rejects_.add(decoded.reason, record, clock_.wall());
    log_.write(LogLevel::warning, "event refused",
               {{"reason", reject_reason_name(decoded.reason)},
                {"topic", partition.name.topic},
                {"partition", std::to_string(partition.name.partition)},
                {"offset", std::to_string(record.offset.value())}});
    ++topic(partition).tags_discarded[static_cast<std::size_t>(Tag::none)];
    finish_unpurged(partition, record, EventOutcome::rejected);
    return;
  }
  const PurgeEvent& event = decoded.event;
  const auto tag = static_cast<std::size_t>(event.tag);
  switch (router_.judge(event, record.timestamp, clock_.wall())) {
    case RouteVerdict::accepted:
      ++topic(partition).tags_ok[tag];
      accept(partition, record, event);
      return;
    case RouteVerdict::filtered:
      ++topic(partition).tags_discarded[tag];
      finish_unpurged(partition, record, EventOutcome::filtered, event.id);
      return;
    case RouteVerdict::expired:
      ++topic(partition).tags_expired[tag];
      finish_unpurged(partition, record, EventOutcome::expired, event.id);
      return;
  }
}

void Pipeline::finish_unpurged(Partitions::Partition& partition, const Record& record,
                               EventOutcome outcome, std::string_view id) {
  ++topic(partition).events[static_cast<std::size_t>(outcome)];
  note(record, 0);
  if (ShardWatches* const watching = watches()) watching->on_unpurged(id, outcome);
}

std::uint64_t Pipeline::note(const Record& record, TargetMask targets) {
  const WallTime wall = clock_.wall();
  return readings_[reading_now_].ledger->note(record.offset, targets,
                                              std::min(record.timestamp.value_or(wall), wall));
}

void Pipeline::accept(Partitions::Partition& partition, const Record& record,
                      const PurgeEvent& event) {
  const WallTime wall = clock_.wall();
  const VersionClocks clocks{clock_.now(), wall, clock_.wall_synchronised(),
                             config_.coalesce.clock_margin};
  const Version version =
      partition.versions.of({record.offset, event.dt, record.timestamp}, clocks);
  if (version.future_dated) ++metrics_.future_dated;
  const Reading& reading = readings_[reading_now_];
  const std::uint64_t sequence = note(record, reading.targets);
  JourneyInput input;
  input.key = event.key;
  input.text = {event.host, event.target, event.id};
  input.version = std::max(version.at, reading.floor);
  input.ticket = {reading_now_, version_stamp(version.at), sequence};
  input.event_time = event.dt ? event.dt : record.timestamp;
  input.targets = reading.targets;
  input.priority = reading.priority;
  input.origin = {record.partition, record.offset};
  input.peers = peers_ && peers_->waits(reading, record.offset);
  input.fence_peers = peers_ && peers_->fence_waits(reading, record.offset);
  input.among_peers = peers_.has_value();
  if (ShardWatches* const watching = watches()) {
    watching->on_accepted(event, input.ticket, input.targets);
  }
  if (journeys_.accept(input)) return;
  readings_.owe_fence(reading_now_, record.offset);
}

void Pipeline::on_target_done(const EventTicket& ticket, TargetId target) {
  if (ticket.reading == kNoReading) return;
  readings_[ticket.reading].ledger->settle(ticket.sequence, target);
  if (ShardWatches* const watching = watches()) {
    watching->on_done(ticket, target, (journeys_.left_out() & mask_of(target)) != 0);
  }
}

void Pipeline::on_finished(const FinishedEvent& event) {
  if (event.ticket.reading == kNoReading) return;
  EventOutcome outcome = event.left_out ? EventOutcome::owed : EventOutcome::purged;
  if (event.dead) outcome = EventOutcome::dead;
  ++topic(partitions_.at(readings_[event.ticket.reading].partition))
        .events[static_cast<std::size_t>(outcome)];
  metrics_.shard_latency.record(clock_.now() - event.arrived);
  // A backlog says nothing about how fast a purge is.
  if (event.event_time && event.priority == Priority::live)
    metrics_.end_to_end.record(clock_.wall() - *event.event_time);
  if (ShardWatches* const watching = watches()) watching->on_finished(event.ticket);
}

void Pipeline::on_outcome(DeliveryId id, const Outcome& outcome) {
  ++outcomes_;
  if (probes_.on_outcome(id, outcome)) return;
  if (ShardWatches* const watching = watches()) {
    const auto found = coalescer_.find(id);
    watching->on_attempt(found->target, found->text, outcome);
  }
  if (is_dead(outcome.result)) {
    bury(id, outcome);
    return;
  }
  if (audit_.wants(outcome)) audit_purge(id, outcome);
  if (outcome.alone) probes_.suspect(coalescer_.find(id)->target);
  CHECK(coalescer_.complete(id, outcome));
}

// The delivery stays in flight until its dead letter is on disk, so that its events cannot be
// committed before and no second purge of the URL starts meanwhile.
void Pipeline::bury(DeliveryId id, const Outcome& outcome) {
  const auto found = coalescer_.find(id);
  CHECK(found.has_value());
  const Target& target = targets_[found->target];
  const auto origin = origin_of(*found);
  if (!origin) {  // sent ahead: nobody's purge, so nobody misses it
    CHECK(coalescer_.complete(id, outcome));
    return;
  }
  log_.write(LogLevel::error, "dead letter",
             {{"url", std::string(found->text.host).append(found->text.path)},
              {"target", target.name},
              {"reason", attempt_result_name(outcome.result)},
              {"status", std::to_string(outcome.status)}});
  dying_.push_back({next_dying_++, id, outcome, clock_.wall(), *origin, false});
  give_dead_letters();
}

// An event that the purge is for, or that its fence is for.
std::optional<EventOrigin> Pipeline::origin_of(const Coalescer::InFlight& purge) const {
  if (purge.some_event == kNone) {
    return journeys_.fences().origin_of(purge.key, purge.target, purge.started);
  }
  const EventTicket ticket = journeys_.ticket(purge.some_event);
  if (ticket.reading == kNoReading) return EventOrigin{};
  const Reading& reading = readings_[ticket.reading];
  return EventOrigin{reading.partition, reading.ledger->offset_of(ticket.sequence)};
}

// Made only when the store takes it: with a full disk there may be many.
DeadLetter Pipeline::letter_of(const Dying& dying) {
  const auto found = coalescer_.find(dying.id);
  CHECK(found.has_value());
  DeadLetter letter;
  letter.at = dying.at;
  letter.target = targets_[found->target].name;
  letter.layer = targets_[found->target].layer;
  letter.host = found->text.host;
  letter.path = found->text.path;
  letter.reason = attempt_result_name(dying.outcome.result);
  letter.status = dying.outcome.status;
  letter.attempts = dying.outcome.attempts;
  if (dying.origin.known()) {
    letter.partition = partitions_.at(dying.origin.partition).name;
    letter.offset = dying.origin.offset;
  }
  letter.event_id = found->text.event_id;
  return letter;
}

void Pipeline::give_dead_letters() {
  for (Dying& dying : dying_) {
    if (dying.given) continue;
    dying.given = dead_letters_.put(dying.ticket, letter_of(dying));
    if (!dying.given) return;  // its mailbox is full
  }
}

void Pipeline::on_dead_letter_kept(std::uint64_t ticket) {
  const auto found = std::find_if(dying_.begin(), dying_.end(),
                                  [ticket](const Dying& dying) { return dying.ticket == ticket; });
  CHECK(found != dying_.end());
  const DeliveryId id = found->id;
  const Outcome outcome = found->outcome;
  dying_.erase(found);
  ++metrics_.dead_letters;
  dead_letter_trouble_ = false;
  CHECK(coalescer_.complete(id, outcome));
}

void Pipeline::on_dead_letter_trouble(const std::string& why) {
  dead_letter_trouble_ = true;
  dead_letter_why_ = why;
  log_.write(LogLevel::error, "dead letters cannot be written",
             {{"why", why}, {"effect", "positions are held back until they can"}});
}

void Pipeline::on_target_state(TargetId target, TargetState from, TargetState to,
                               std::string_view why) {
  log_.write(to == TargetState::up ? LogLevel::info : LogLevel::warning, "target state",
             {{"target", targets_[target].name},
              {"layer", targets_[target].layer},
              {"was", target_state_name(from)},
              {"is", target_state_name(to)},
              {"why", std::string(why)}});
}

void Pipeline::on_target_proof(TargetId target, bool unproven) {
  const Target& at = targets_[target];
  if (unproven) {
    log_.warning("target unproven",
                 {{"target", at.name},
                  {"layer", at.layer},
                  {"why",
                   "its answers do not show that a cache purged; without conf/purge.vcl "
                   "Varnish passes PURGE on to the origin"}});
  } else {
    log_.info("target proven", {{"target", at.name}, {"layer", at.layer}});
  }
}

// Below some thousand purges a second an answer is worth a wake-up of its own; above, collecting
// answers costs a fraction of the CPU time and a millisecond nobody notices.
void Pipeline::adapt_tick() {
  const Duration passed = clock_.now() - rate_since_;
  if (passed < milliseconds(50)) return;
  const double rate =
      static_cast<double>(outcomes_ - outcomes_before_) * 1e9 / static_cast<double>(passed.count());
  outcomes_before_ = outcomes_;
  rate_since_ = clock_.now();
  if (rate < 1000)
    tick_ = microseconds(0);
  else if (rate < 40000)
    tick_ = microseconds(500);
  else if (rate < 160000)
    tick_ = microseconds(1000);
  else  // a target answers all that it has in flight in less than that
    tick_ = microseconds(250);
}

MonoTime Pipeline::next_due() {
  // Outcomes may have made room since read(), and what the source holds already wakes nobody. A
  // full table keeps the targets busy: to fill it up is in no hurry, and turns of a few answers
  // each are dear.
  if (more_at_once_ || more_to_drop_) return clock_.now();
  if (held_back_ && journeys_.room() > held_room_) return clock_.now() + tick_;
  MonoTime due = std::min(dispatcher_.next_due(), partitions_.next_due());
  due = std::min(due, coalescer_.next_due().value_or(MonoTime::max()));
  if (peers_) due = std::min(due, peers_->next_due());
  due = std::min(due, absences_.next_due(clock_.now()));
  due = std::min(due, audit_.next_due());
  if (ShardWatches* const watching = watches()) due = std::min(due, watching->next_due());
  due = std::min(due, probes_.next_due().value_or(MonoTime::max()));
  return std::min(due, journeys_.next_due().value_or(MonoTime::max()));
}

void Pipeline::drain(MonoTime until) {
  CHECK(!draining_);
  draining_ = true;
  metrics_.draining = 1;
  dispatcher_.drain(until);
  audit_.drain();
}

void Pipeline::release_samples() {
  const Fences& fences = journeys_.fences();
  readings_.release_samples(fences.oldest_open(), fences.oldest_open_first());
}

bool Pipeline::drained() {
  CHECK(draining_);
  if (!dispatcher_.idle() || !audit_.idle() || !dying_.empty()) return false;
  // What has an open fence is read again by the next start: nobody waits for fences here.
  release_samples();
  partitions_.update_watermarks();
  partitions_.commit_now();
  return partitions_.committed();
}

}  // namespace purgeline
