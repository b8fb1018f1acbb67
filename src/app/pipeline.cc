#include "app/pipeline.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kReadBatch =
    512;  // records per partition and turn: a fraction of a millisecond

std::vector<TargetSpec> target_specs(const PurgeConfig& config) {
  std::vector<TargetSpec> specs;
  for (std::size_t l = 0; l < config.layers.size(); ++l) {
    for (const Endpoint& endpoint : config.layers[l].targets) {
      TargetSpec spec;
      spec.id = TargetId{static_cast<std::uint16_t>(specs.size())};
      spec.layer = LayerId{static_cast<std::uint8_t>(l)};
      spec.endpoint = endpoint;
      spec.connections = static_cast<std::uint32_t>(config.layers[l].connections);
      spec.depth = static_cast<std::uint32_t>(config.layers[l].depth);
      spec.connect_timeout = config.layers[l].connect_timeout;
      spec.request_timeout = config.layers[l].request_timeout;
      spec.max_attempts = static_cast<std::uint16_t>(config.layers[l].max_attempts);
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

std::vector<std::vector<TargetId>> layer_targets(const std::vector<TargetSpec>& specs) {
  std::vector<std::vector<TargetId>> layers;
  for (const TargetSpec& spec : specs) {
    if (layers.size() <= spec.layer.value()) layers.emplace_back();
    layers.back().push_back(spec.id);
  }
  return layers;
}

CoalescerOptions coalescer_options(const PurgeConfig& config) {
  std::size_t widest = 1;
  std::size_t targets = 0;
  for (const LayerConfig& layer : config.layers) {
    widest = std::max(widest, layer.targets.size());
    targets += layer.targets.size();
  }
  CoalescerOptions options;
  options.keys = static_cast<std::uint32_t>(config.coalesce.capacity);
  options.bytes = config.coalesce.bytes;
  options.joins = static_cast<std::uint32_t>(config.coalesce.capacity * widest);
  options.targets = static_cast<std::uint32_t>(targets);
  options.window = config.coalesce.window;
  return options;
}

PartitionOptions partition_options(const PurgeConfig& config, const StartAt& start_at,
                                   std::uint32_t targets) {
  PartitionOptions options;
  options.start_at = start_at;
  options.max_useful_age = config.max_useful_age;
  options.targets = targets;
  options.ledger_capacity = config.coalesce.capacity;
  // Well within the margin, so that the floor of a live event is never older than it.
  options.sample_spacing = config.coalesce.clock_margin.value_or(milliseconds(2000)) / 4;
  return options;
}

}  // namespace

Pipeline::Pipeline(const PurgeConfig& config, const StartAt& start_at, HostMatcher hosts,
                   const PipelineSeams& seams)
    : config_(config),
      specs_(target_specs(config)),
      clock_(seams.clock),
      source_(seams.source),
      dead_letters_(seams.dead_letters),
      log_(seams.log),
      router_(std::move(hosts), config.max_age),
      coalescer_(coalescer_options(config), seams.clock),
      journeys_({static_cast<std::uint32_t>(config.coalesce.capacity), config.layer_deadline,
                 layer_targets(specs_)},
                coalescer_, seams.clock, *this),
      probes_(coalescer_, specs_.size(), seams.clock),
      dispatcher_(DispatchOptions{}, specs_, seams.transport, seams.resolver, seams.clock,
                  seams.random, probes_, *this),
      partitions_(partition_options(config, start_at, static_cast<std::uint32_t>(specs_.size())),
                  seams.source, seams.log_store, seams.local_store, seams.clock, seams.log),
      rate_since_(seams.clock.now()) {
  for (const TargetSpec& spec : specs_) {
    targets_.push_back({spec.endpoint.text, config.layers[spec.layer.value()].name, spec.id});
    all_targets_ |= std::uint32_t{1} << spec.id.value();
  }
  CHECK(!targets_.empty() && targets_.size() <= kMaxTargets);
  dispatcher_.set_listener(this);
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
  read();
  journeys_.turn();
  for (const Target& target : targets_) probes_.set_state(target.id, dispatcher_.state(target.id));
  dispatcher_.turn();
  partitions_.turn();
  adapt_tick();
}

// Each partition in turn goes first, so that a full table does not starve the last one.
void Pipeline::read() {
  more_to_read_ = held_back_ = false;
  bool room_for_all = true;
  const std::size_t count = partitions_.size();
  for (std::size_t i = 0; i < count && !draining_; ++i) {
    Partitions::Partition& partition = partitions_[(next_partition_ + i) % count];
    if (partition.state != Partitions::State::reading) continue;
    const std::uint64_t room = std::min<std::uint64_t>(journeys_.room(), partition.ledger->room());
    const std::size_t credit = std::min<std::uint64_t>(room, kReadBatch);
    if (credit == 0) {
      room_for_all = false;
      held_back_ = held_back_ || journeys_.room() == 0;
      continue;
    }
    const std::size_t got = source_.read(*partition.cursor, credit, *this);
    CHECK(got <= credit);
    if (got == credit) more_to_read_ = true;
  }
  ++next_partition_;
  check_stalled(room_for_all);
}

// Full tables are ordinary while a backlog is worked through. They are a stall when a target does
// not take what waits for it.
void Pipeline::check_stalled(bool room) {
  if (room && !stalled_) return;  // as nearly always
  std::string who;
  for (const Target& target : targets_) {
    const TargetState state = dispatcher_.state(target.id);
    if (state == TargetState::down || state == TargetState::denied) {
      who += (who.empty() ? "" : ", ") + target.name + " is " + target_state_name(state);
    }
  }
  const bool stalled = !room && !who.empty();
  if (stalled == stalled_) return;
  if (stalled_ && journeys_.room() * 64 < config_.coalesce.capacity && !who.empty()) return;
  stalled_ = stalled;
  if (stalled) {
    log_.write(LogLevel::error, "stalled",
               {{"unfinished", std::to_string(journeys_.unfinished())},
                {"why", who},
                {"effect", "no more events are read until it answers"}});
  } else {
    log_.write(LogLevel::info, "reading again",
               {{"unfinished", std::to_string(journeys_.unfinished())}});
  }
}

TopicMetrics& Pipeline::topic(const Partitions::Partition& partition) {
  if (topics_.size() <= partition.topic) topics_.resize(partition.topic + 1);
  return topics_[partition.topic];
}

void Pipeline::on_record(const Record& record) {
  Partitions::Partition& partition = partitions_.at(record.partition);
  CHECK(partition.state == Partitions::State::reading);
  if (record.offset < partition.ledger->next()) {
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
      finish_unpurged(partition, record, EventOutcome::filtered);
      return;
    case RouteVerdict::expired:
      ++topic(partition).tags_expired[tag];
      finish_unpurged(partition, record, EventOutcome::expired);
      return;
  }
}

void Pipeline::finish_unpurged(Partitions::Partition& partition, const Record& record,
                               EventOutcome outcome) {
  ++topic(partition).events[static_cast<std::size_t>(outcome)];
  const WallTime wall = clock_.wall();
  static_cast<void>(
      partition.ledger->note(record.offset, 0, std::min(record.timestamp.value_or(wall), wall)));
}

void Pipeline::accept(Partitions::Partition& partition, const Record& record,
                      const PurgeEvent& event) {
  const WallTime wall = clock_.wall();
  const VersionClocks clocks{clock_.now(), wall, clock_.wall_synchronised(),
                             config_.coalesce.clock_margin};
  const Version version =
      partition.versions.of({record.offset, event.dt, record.timestamp}, clocks);
  if (version.future_dated) ++metrics_.future_dated;
  const std::uint64_t sequence = partition.ledger->note(
      record.offset, all_targets_, std::min(record.timestamp.value_or(wall), wall));
  JourneyInput input;
  input.key = event.key;
  input.text = {event.host, event.target, event.id};
  input.version = version.at;
  input.ticket = {partition.id, sequence};
  input.event_time = event.dt ? event.dt : record.timestamp;
  journeys_.accept(input);
}

void Pipeline::on_target_done(const EventTicket& ticket, TargetId target) {
  partitions_.at(ticket.partition).ledger->settle(ticket.sequence, target);
}

void Pipeline::on_finished(const FinishedEvent& event) {
  const EventOutcome outcome = event.dead ? EventOutcome::dead : EventOutcome::purged;
  ++topic(partitions_.at(event.ticket.partition)).events[static_cast<std::size_t>(outcome)];
  metrics_.shard_latency.record(clock_.now() - event.arrived);
  if (event.event_time) metrics_.end_to_end.record(clock_.wall() - *event.event_time);
}

void Pipeline::on_outcome(DeliveryId id, const Outcome& outcome) {
  ++outcomes_;
  if (probes_.on_outcome(id, outcome)) return;
  if (is_dead(outcome.result))
    bury(id, outcome);
  else
    CHECK(coalescer_.complete(id, outcome));
}

// The delivery stays in flight until its dead letter is on disk, so that its events cannot be
// committed before and no second purge of the URL starts meanwhile.
void Pipeline::bury(DeliveryId id, const Outcome& outcome) {
  const auto found = coalescer_.find(id);
  CHECK(found.has_value());
  const Target& target = targets_[found->target.value()];
  if (found->some_event == kNone) {  // sent ahead: nobody's purge, so nobody misses it
    CHECK(coalescer_.complete(id, outcome));
    return;
  }
  const EventTicket ticket = journeys_.ticket(found->some_event);
  const Partitions::Partition& partition = partitions_.at(ticket.partition);
  Dying dying{next_dying_++, id, outcome, {}, false};
  dying.letter.at = clock_.wall();
  dying.letter.target = target.name;
  dying.letter.layer = target.layer;
  dying.letter.host = found->text.host;
  dying.letter.path = found->text.path;
  dying.letter.reason = attempt_result_name(outcome.result);
  dying.letter.status = outcome.status;
  dying.letter.attempts = outcome.attempts;
  dying.letter.partition = partition.name;
  dying.letter.offset = partition.ledger->offset_of(ticket.sequence);
  dying.letter.event_id = found->text.event_id;
  log_.write(LogLevel::error, "dead letter",
             {{"url", dying.letter.host + dying.letter.path},
              {"target", target.name},
              {"reason", dying.letter.reason},
              {"status", std::to_string(outcome.status)}});
  dying_.push_back(std::move(dying));
  give_dead_letters();
}

void Pipeline::give_dead_letters() {
  for (Dying& dying : dying_) {
    if (dying.given) continue;
    dying.given = dead_letters_.put(dying.ticket, dying.letter);
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
  CHECK(target.value() < targets_.size());
  log_.write(to == TargetState::up ? LogLevel::info : LogLevel::warning, "target state",
             {{"target", targets_[target.value()].name},
              {"layer", targets_[target.value()].layer},
              {"was", target_state_name(from)},
              {"is", target_state_name(to)},
              {"why", std::string(why)}});
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
  else if (rate < 20000)
    tick_ = microseconds(500);
  else
    tick_ = microseconds(1000);
}

MonoTime Pipeline::next_due() {
  // Outcomes may have made room since read(), and what the source holds already wakes nobody.
  if (more_to_read_ || (held_back_ && journeys_.room() > 0)) return clock_.now();
  MonoTime due = std::min(dispatcher_.next_due(), partitions_.next_due());
  due = std::min(due, coalescer_.next_due().value_or(MonoTime::max()));
  due = std::min(due, probes_.next_due().value_or(MonoTime::max()));
  return std::min(due, journeys_.next_due().value_or(MonoTime::max()));
}

void Pipeline::drain(MonoTime until) {
  CHECK(!draining_);
  draining_ = true;
  metrics_.draining = 1;
  dispatcher_.drain(until);
}

bool Pipeline::drained() {
  CHECK(draining_);
  if (!dispatcher_.idle() || !dying_.empty()) return false;
  partitions_.update_watermarks();
  partitions_.commit_now();
  return partitions_.committed();
}

}  // namespace purgeline
