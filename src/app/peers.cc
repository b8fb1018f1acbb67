#include "app/peers.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// So that a peer which has nothing to do is told from one that is silent.
constexpr Duration kSayAgain = std::chrono::seconds(1);
// The grid of fences and the steps in which they are told of are a sixteenth each.
constexpr int kFenceSlack = 8;

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) * 1e-9;
}

}  // namespace

Peers::Peers(PeerLink& link, const PurgeConfig& config, Readings& readings, Partitions& partitions,
             Journeys& journeys, Clock& clock, EventLog& log)
    : link_(link),
      readings_(readings),
      partitions_(partitions),
      journeys_(journeys),
      clock_(clock),
      log_(log),
      interval_(config.peers.interval),
      barrier_(wanted(config), config.peers.barrier_deadline, clock.now()),
      metrics_(kMaxPeers),
      began_(clock.now()),
      publish_at_(clock.now()),
      say_again_(clock.now()) {
  readings_.set_peers(barrier_);
  take_fence_times(config);
}

void Peers::take_fence_times(const PurgeConfig& config) {
  const Duration fetch_time = config.fence.fetch_time.value_or(Duration{0});
  barrier_.set_fence_slack((config.fence.origin_lag + fetch_time) / kFenceSlack);
}

// With one layer there is nothing that could be filled from a peer.
std::vector<std::string> Peers::wanted(const PurgeConfig& config) const {
  std::vector<std::string> peers;
  if (config.layers.size() < 2) return peers;
  for (const std::string& host : config.peers.hosts) {
    if (host != link_.name()) peers.push_back(host);
  }
  return peers;
}

void Peers::change(const PurgeConfig& config) {
  take_fence_times(config);
  std::vector<std::string> names(kMaxPeers);
  for (std::uint16_t i = 0; i < kMaxPeers; ++i) {
    if ((barrier_.here() & mask_of(PeerId{i})) != 0) names[i] = barrier_.name(PeerId{i});
  }
  const auto gone = barrier_.change(wanted(config), config.peers.barrier_deadline, clock_.now());
  for (const PeerId peer : gone) {
    log_.info("peer removed", {{"peer", names[peer.value()]},
                               {"missed", std::to_string(readings_.missed(peer))},
                               {"effect", "nothing waits for it any more"}});
    readings_.forget_peer(peer);
    metrics_[peer.value()] = PeerMetrics{};
  }
}

bool Peers::waits(const Reading& reading, Offset offset) const {
  return reading.priority == Priority::live && !barrier_.passed(reading.partition, offset);
}

bool Peers::fence_waits(const Reading& reading, Offset offset) const {
  return reading.priority == Priority::live && !barrier_.fenced(reading.partition, offset);
}

void Peers::turn() {
  while (barrier_.known() < partitions_.size()) {
    const Partitions::Partition& partition = partitions_[barrier_.known()];
    barrier_.learn(partition.id, partition.name);
  }
  heard_ = false;
  link_.poll(*this);
  // What peers have purged of a backlog is known in a moment, and then need not be remembered.
  readings_.hold_backlog(!barrier_.known_yet(clock_.now()));
  while (const auto abandoned = readings_.take_abandoned()) {
    journeys_.fences().forget_offsets(*abandoned);
  }
  pass();
  const bool waiting =
      journeys_.waiting_for_peers() > 0 || journeys_.fences().waiting_for_peers() > 0;
  if (waiting || barrier_.left_out() != 0) judge();
  if (heard_) settle_missed();
  if (clock_.now() >= publish_at_) publish();
}

void Peers::on_peer(const PeerReport& report) {
  if (!barrier_.hear(report, clock_.now())) return;
  heard_ = true;
  for (std::uint16_t i = 0; i < kMaxPeers; ++i) {
    const PeerId peer{i};
    if ((barrier_.here() & mask_of(peer)) == 0 || barrier_.name(peer) != report.host) continue;
    if (metrics_[i].heard++ > 0) continue;
    log_.info("peer heard",
              {{"peer", report.host}, {"partitions", std::to_string(report.marks.size())}});
  }
}

// The oldest of each reading first: marks move in the order of offsets.
void Peers::pass() {
  for (std::uint32_t lane = 0; lane < journeys_.peer_lanes(); ++lane) {
    while (const auto first = journeys_.first_for_peers(lane)) {
      const Reading& reading = readings_[lane];
      const Offset offset = reading.ledger->offset_of(first->ticket.sequence);
      // Offsets of a log that is gone mean nothing, so nobody can pass them.
      if (reading.counts && !barrier_.passed(reading.partition, offset)) break;
      journeys_.pass_peers(lane);
    }
  }
  if (journeys_.fences().waiting_for_peers() > 0) pass_fences();
}

void Peers::pass_fences() {
  Fences& fences = journeys_.fences();
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    const PartitionId id = partitions_[i].id;
    while (const auto first = fences.first_for_peers(id)) {
      if (!barrier_.fenced(id, first->offset)) break;
      fences.pass_peers(id);
    }
  }
}

void Peers::judge() {
  facts_.clear();
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    const auto live = readings_.live(partitions_[i].id);
    if (!live) continue;
    PeerBarrier::Fact fact;
    fact.partition = partitions_[i].id;
    fact.next = readings_[*live].ledger->next();
    if (const auto first = journeys_.first_for_peers(*live)) {
      fact.oldest = readings_[*live].ledger->offset_of(first->ticket.sequence);
      fact.since = first->arrived;
    }
    if (journeys_.fences().on()) fact.fenced = readings_.fenced(fact.partition);
    if (const auto first = journeys_.fences().first_for_peers(fact.partition)) {
      fact.oldest_fence = first->offset;
      fact.fence_since = first->since;
    }
    facts_.push_back(fact);
  }
  const std::vector<PeerBarrier::Move> moves = barrier_.judge(facts_, clock_.now());
  for (const PeerBarrier::Move& move : moves) {
    if (move.leave_out)
      leave_out(move);
    else
      take_in(move);
  }
  if (!moves.empty()) pass();
}

// What it is owed is known before the events go on without it.
void Peers::leave_out(const PeerBarrier::Move& move) {
  readings_.let_go(move.peer);
  ++metrics_[move.peer.value()].times_left_out;
  log_.error("peer left out",
             {{"peer", barrier_.name(move.peer)},
              {"why", move.why},
              {"effect",
               "purges do not wait for it until it keeps up; what it misses is purged "
               "again then"}});
}

void Peers::take_in(const PeerBarrier::Move& move) {
  readings_.wait_for(move.peer);
  log_.info("peer waited for again",
            {{"peer", barrier_.name(move.peer)},
             {"missed", std::to_string(readings_.missed(move.peer))},
             {"effect", "frontends are purged of what it missed when it has been"}});
}

void Peers::settle_missed() {
  for (std::uint16_t i = 0; i < kMaxPeers; ++i) {
    const PeerId peer{i};
    if ((barrier_.here() & mask_of(peer)) == 0) continue;
    if (readings_.missed(peer) == 0) continue;
    const std::uint64_t caught_up = readings_.settle_missed(peer, clock_.now());
    if (caught_up == 0) continue;
    log_.info("peer has caught up",
              {{"peer", barrier_.name(peer)},
               {"missed", std::to_string(caught_up)},
               {"effect", "frontends are purged of it again, beside new events"}});
  }
}

void Peers::publish() {
  const MonoTime now = clock_.now();
  publish_at_ = now + interval_;
  tell_trouble();
  marks_.clear();
  for (std::size_t i = 0; i < partitions_.size() && marks_.size() < kMaxPeerPartitions; ++i) {
    const Partitions::Partition& partition = partitions_[i];
    if (!readings_.live(partition.id)) continue;
    PeerMark mark = readings_.first_layer(partition.id);
    mark.name = partition.name;
    marks_.push_back(std::move(mark));
  }
  if (marks_ == said_ && now < say_again_) return;
  link_.publish(marks_);
  ++all_metrics_.published;
  said_ = marks_;
  say_again_ = now + kSayAgain;
}

void Peers::tell_trouble() {
  std::string trouble = link_.trouble();
  if (trouble.empty() != trouble_.empty()) {
    if (trouble.empty()) {
      log_.info("peers reachable", {{"state", "over"}});
    } else {
      log_.warning("peers not reachable",
                   {{"why", trouble},
                    {"effect", "frontends are purged before their backends on other hosts"}});
    }
  }
  trouble_ = std::move(trouble);
}

void Peers::snapshot(MetricsSnapshot& out) const {
  PeersMetrics all = all_metrics_;
  all.waiting = journeys_.waiting_for_peers();
  all.waiting_fences = journeys_.fences().waiting_for_peers();
  all.sent_first = journeys_.sent_before_peers();
  out.peers = all;
  out.each_peer.clear();
  std::string detail;
  for (std::uint16_t i = 0; i < kMaxPeers; ++i) {
    const PeerId peer{i};
    if ((barrier_.here() & mask_of(peer)) == 0) continue;
    PeerMetrics row = metrics_[i];
    row.left_out = (barrier_.left_out() & mask_of(peer)) != 0 ? 1 : 0;
    row.silent = seconds_of(clock_.now() - barrier_.heard(peer).value_or(began_));
    row.missed = static_cast<double>(readings_.missed(peer));
    if (row.left_out > 0) {
      detail += (detail.empty() ? "not waited for: " : ", ") + barrier_.name(peer) + " (missed " +
                std::to_string(readings_.missed(peer)) + " events)";
    }
    out.each_peer.push_back({barrier_.name(peer), row});
  }
  // Another host's trouble is no reason to take traffic from this one.
  if (!trouble_.empty()) detail = trouble_;
  out.ready.push_back({"peers", trouble_.empty(), detail.empty() ? "all are waited for" : detail});
}

}  // namespace purgeline
