#include "sim/sim_peers.h"

#include <algorithm>
#include <utility>

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr FaultRow kRows[] = {
#define X(kind, name, most) {name, most},
    PURGELINE_HOST_FAULTS(X)
#undef X
};
// A host says again how far it is within a second, and then it has to arrive.
constexpr Duration kSaidAgain = milliseconds(1500);

}  // namespace

const char* host_fault_name(HostFault fault) {
  return kRows[static_cast<std::size_t>(fault)].name;
}

HostFaults::HostFaults(test::FakeRandom& random, bool quiet) : FaultsOf(random, kRows, quiet) {}

PeerLink& SimPeers::link(const std::string& name) {
  std::unique_ptr<Link>& link = links_[name];
  if (!link) link = std::make_unique<Link>(*this, name);
  return *link;
}

void SimPeers::joined(const std::string& name) {
  links_.at(name)->alive_ = true;
}

void SimPeers::gone(const std::string& name) {
  Link& link = *links_.at(name);
  link.alive_ = false;
  link.waiting_.reset();
  link.heard_.clear();
}

void SimPeers::set_reachable(bool reachable) {
  reachable_ = reachable;
}

void SimPeers::set_silent(const std::string& name, bool silent) {
  links_.at(name)->silent_ = silent;
}

void SimPeers::set_deaf(const std::string& name, bool deaf) {
  links_.at(name)->deaf_ = deaf;
}

void SimPeers::Link::publish(std::span<const PeerMark> marks) {
  waiting_.emplace(marks.begin(), marks.end());
}

void SimPeers::Link::poll(PeerListener& listener) {
  if (waiting_ && peers_.reachable_ && busy_until_ <= peers_.clock_.now()) {
    peers_.send(*this, *waiting_);
    waiting_.reset();
  }
  const auto heard = std::exchange(heard_, {});
  for (const auto& [host, report] : heard) listener.on_peer(report);
}

std::string SimPeers::Link::trouble() const {
  return peers_.reachable_ ? "" : "the simulated topic is down";
}

void SimPeers::send(Link& from, const std::vector<PeerMark>& marks) {
  from.busy_until_ = clock_.now() + milliseconds(1 + random_.below(20));
  agenda_.at(from.busy_until_, [] {});
  for (auto& [name, to] : links_) {
    if (to.get() == &from) continue;
    Link* const receiver = to.get();
    Duration delay = milliseconds(1 + random_.below(40));
    if (faults_.hit(HostFault::mark_late)) delay = milliseconds(random_.below(4000));
    const bool lost = faults_.hit(HostFault::mark_lost);
    MonoTime& arrives = receiver->arrives_[from.name_];
    const MonoTime due = std::max(arrives, clock_.now() + delay);
    if (lost || due > clock_.now() + kTravel / 2) trouble(lost ? clock_.now() + kSaidAgain : due);
    if (lost) continue;
    arrives = due;
    agenda_.at(due, [receiver, report = PeerReport{from.name_, marks}, sender = &from] {
      if (!receiver->alive_ || receiver->deaf_ || sender->silent_) return;
      receiver->heard_[report.host] = report;
    });
  }
}

}  // namespace purgeline::sim
