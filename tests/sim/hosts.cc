#include "sim/hosts.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "sim/cache_draws.h"

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

Hosts::Host::Host(Hosts& world, std::size_t which)
    : index(which),
      name("host" + std::to_string(which + 1)),
      clock(world.clock_, milliseconds(world.random_.below(10000)),
            milliseconds(static_cast<std::int64_t>(world.random_.below(800)) - 400)),
      random(world.random_.next()),
      transport(world.clock_, world.agenda_, world.random_, world.faults_, world.trace_,
                world.caches_),
      lines(world.trace_, [&world, this](std::string_view event, LogFields fields) {
        world.line(*this, event, fields);
      }) {
  transport.set_crash_point([&world, this] { world.maybe_crash(*this); });
  transport.set_purged([&world](std::uint16_t port, const std::string& url, bool certain) {
    world.content_.advance(world.clock_.now());
    if (certain || world.reader_random_.below(2) == 0) world.content_.purge(port, url);
  });
}

Hosts::Hosts(std::uint64_t seed, Barrier barrier)
    : barrier_(barrier),
      random_(seed ^ 0x686f737473),
      reader_random_(seed ^ 0x5bd1e995'00000000),
      quiet_(random_.below(4) == 0),
      host_faults_(random_, quiet_),
      content_(cache_draws(reader_random_, times_, kinds_)) {
  draw_config();
  log_.set_redelivery([this] { return faults_.hit(Fault::redelivered); });
  const std::size_t hosts = 2 + random_.below(2);
  for (std::size_t i = 0; i < hosts; ++i)
    config_.peers.hosts.push_back("host" + std::to_string(i + 1));
  for (std::size_t i = 0; i < hosts; ++i) {
    hosts_.push_back(std::make_unique<Host>(*this, i));
    build(*hosts_.back());
    peers_.link(hosts_.back()->name);
  }
  for (const auto& host : hosts_) {
    std::vector<Checker*> others;
    for (const auto& other : hosts_) {
      if (other != host) others.push_back(other->checker.get());
    }
    host->checker->set_peers(std::move(others));
  }
  peers_.set_trouble([this](MonoTime until) {
    for (const auto& host : hosts_) host->checker->peers_late(until);
  });
  fill_caches();
}

std::vector<PartitionName> Hosts::partitions() const {
  std::vector<PartitionName> all;
  for (const char* topic : {"eqiad.resource-purge", "codfw.resource-purge"}) {
    for (std::int32_t partition = 0; log_.find({topic, partition}) != nullptr; ++partition) {
      all.push_back({topic, partition});
    }
  }
  return all;
}

Checker& Hosts::checker_of(std::uint16_t port) {
  return *hosts_[(port % 1000) / 100]->checker;
}

// ---- lives

void Hosts::begin(Host& host) {
  trace_.note("start", host.name);
  host.checker->program_started();
  for (const PartitionName& name : partitions()) {
    host.checker->started(name, log_.position(host.name, name),
                          host.disk.position("state.db", name));
  }
  peers_.joined(host.name);
  SimProgram::Seams seams{log_,
                          host.disk,
                          host.name,
                          letters_,
                          clock_,
                          agenda_,
                          random_,
                          faults_,
                          host.transport,
                          host.lines,
                          host.clock,
                          barrier_ == Barrier::on ? &peers_.link(host.name) : nullptr,
                          {{"eqiad.resource-purge", "codfw.resource-purge"}, 2, 4},
                          host.random};
  seams.source.watch = [this, &host](const PartitionName& name, Offset offset, Priority priority) {
    maybe_crash(host);
    trace_.note("read", host.name + " " + name.topic, offset.value());
    host.checker->read(name, offset, priority == Priority::live);
  };
  seams.crash_point = [this, &host] {
    maybe_crash(host);
  };
  seams.committing = [this, &host](const Commit& commit, bool to_log) {
    if (to_log) maybe_crash(host);
    trace_.note("commit", host.name + " " + commit.name.topic, commit.position.offset.value());
    host.checker->committing(commit, to_log, host.program->source.cluster(), false);
  };
  host.program = std::make_unique<SimProgram>(host.config, log_config_, *HostMatcher::make({}, {}),
                                              std::move(seams));
}

void Hosts::end_of_program(Host& host) {
  host.stop_until.reset();
  host.crash_now = host.stop_now = false;
  host.crash_in = 0;
  host.ended = true;
  host.checker->program_ended();
  peers_.gone(host.name);
  host.transport.crash();
  host.program.reset();
}

void Hosts::crash(Host& host) {
  if (!host.program) return;
  trace_.note("crash", host.name);
  end_of_program(host);
}

void Hosts::stop(Host& host) {
  trace_.note("stop", host.name);
  host.program->pipeline.drain(host.clock.now() + host.config.drain_grace);
  host.stop_now = false;
  host.checker->program_ended();
  host.stop_until = clock_.now() + host.config.drain_grace + seconds(3);
}

void Hosts::maybe_crash(Host& host) {
  if (host.crash_in == 0 || --host.crash_in > 0) return;
  faults_.happened(Fault::crash_midway);
  throw Crash{host.index};
}

void Hosts::turn(Host& host) {
  if (host.crash_now) crash(host);
  if (!host.program && clock_.now() < host.away_until) return;
  try {
    if (!host.program) begin(host);
    if (host.stop_now && !host.stop_until) stop(host);
    host.program->pipeline.turn();
    if (host.stop_until && (host.program->pipeline.drained() || clock_.now() >= *host.stop_until)) {
      trace_.note("stopped", host.name);
      return end_of_program(host);
    }
  } catch (const Crash&) {
    return crash(host);
  }
  content_.advance(clock_.now());
  if (host.program->pipeline.unfinished() > host.config.coalesce.capacity) {
    host.checker->fail("more unfinished events than the capacity");
  }
  if (!host.transport.violation().empty()) host.checker->fail(host.transport.violation());
}

// Whoever answers, asks or is killed meanwhile: all hosts sleep until the same moment.
void Hosts::pass_time() {
  MonoTime until = clock_.now() + milliseconds(20);
  std::chrono::microseconds tick = milliseconds(1);
  for (const auto& host : hosts_) {
    if (!host->program) continue;
    const MonoTime due = host->program->pipeline.next_due();
    if (due != MonoTime::max()) until = std::min(until, due - host->clock.ahead());
    if (host->program->source.readable()) until = std::min(until, clock_.now() + milliseconds(1));
    tick = std::min(tick, host->program->pipeline.tick());
  }
  try {
    hosts_.front()->transport.turn(until, tick);  // its clock and agenda are everybody's
  } catch (const Crash& end) {
    crash(*hosts_[end.host]);
  }
}

void Hosts::step() {
  first_ = (first_ + 1) % hosts_.size();
  for (std::size_t i = 0; i < hosts_.size(); ++i) turn(*hosts_[(first_ + i) % hosts_.size()]);
  pass_time();
}

// ---- what programs tell

// Something has happened to it, to who reads it, or to what they say.
bool Hosts::left_out_for_a_reason(const Host& host, const std::string& peer) const {
  const auto happened = [this](Fault fault) {
    return faults_.counts()[static_cast<std::size_t>(fault)] > 0;
  };
  if (host.ended || happened(Fault::log_unreachable) || happened(Fault::log_frozen)) return true;
  // An event that is given up is done when its dead letter is on disk.
  if (happened(Fault::poison_url) || happened(Fault::refused_url)) return true;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(HostFault::deaf); ++i) {
    if (host_faults_.counts()[i] > 0) return true;
  }
  return std::any_of(hosts_.begin(), hosts_.end(), [&peer](const auto& other) {
    return other->name == peer && (other->ended || other->faulty_backend);
  });
}

void Hosts::line(Host& host, std::string_view event, LogFields fields) {
  if (event == "catching up") faults_.happened(Fault::catch_up);
  if (event == "fell back") faults_.happened(Fault::fell_back);
  if (event == "peer has caught up") {
    host_faults_.happened(HostFault::caught_up);
    host.checker->peer_caught_up();
  }
  if (fields.size() == 0) return;
  const std::string& who = fields.begin()->second;
  if (event == "peer left out") {
    host_faults_.happened(HostFault::left_out);
    host.checker->peer_left_out(who, left_out_for_a_reason(host, who));
  } else if (event == "peer waited for again") {
    host_faults_.happened(HostFault::taken_in);
    host.checker->peer_taken_in(who);
  } else if (event == "target behind") {
    faults_.happened(Fault::target_behind);
    const bool poisoned = faults_.counts()[static_cast<std::size_t>(Fault::poison_url)] > 0;
    host.checker->left_out(who, poisoned);
  } else if (event == "target live again") {
    host.checker->taken_in(who);
  }
}

// ---- a run

std::string Hosts::violation() const {
  for (const auto& host : hosts_) {
    const std::string& wrong = host->checker->violation();
    if (!wrong.empty()) return wrong.rfind("stale: ", 0) == 0 ? wrong : host->name + ": " + wrong;
  }
  return {};
}

// Empty, or what is not yet committed.
std::string Hosts::unfinished() const {
  for (const auto& host : hosts_) {
    if (!host->program) return host->name + " is away";
    for (const PartitionName& name : partitions()) {
      const auto position = log_.position(host->name, name);
      const std::int64_t high = log_.find(name)->high();
      if (position && position->offset.value() == high) continue;
      return host->name + " has committed " + name.topic + "/" + std::to_string(name.partition) +
             " up to " + (position ? std::to_string(position->offset.value()) : "nothing") +
             " of " + std::to_string(high);
    }
  }
  return {};
}

std::string Hosts::run(Duration busy) {
  plan(busy);
  const MonoTime busy_until = clock_.now() + busy;
  while (clock_.now() < busy_until && violation().empty()) step();
  calm();
  const MonoTime give_up = clock_.now() + std::chrono::minutes(15);
  MonoTime next_word = clock_.now() + seconds(5);
  for (std::string left = unfinished(); violation().empty() && !left.empty(); left = unfinished()) {
    step();
    // Caches that close on some URLs are told from caches that close on all by other URLs only.
    if (clock_.now() >= next_word) {
      next_word = clock_.now() + seconds(5);
      const bool waiting = std::any_of(hosts_.begin(), hosts_.end(), [](const auto& host) {
        return host->program && host->program->pipeline.unfinished() > 0;
      });
      if (waiting) produce();
    }
    if (clock_.now() >= give_up) hosts_.front()->checker->fail("it never came to rest: " + left);
  }
  if (!violation().empty()) return violation();
  for (const auto& host : hosts_) {
    if (barrier_ != Barrier::off_to_read) host->checker->at_end();
  }
  content_.finish();
  for (const PageRead& copy : content_.copies()) checker_of(copy.port).read_page(copy);
  return violation();
}

Hosts::Counts Hosts::counts() const {
  Counts counts;
  counts.hosts = hosts_.size();
  counts.events = produced_;
  for (const auto& [port, cache] : caches_) counts.purges += cache.seen.size();
  counts.dead_letters = letters_.letters.size();
  counts.reads = reads_;
  counts.between = host_faults_.counts();
  for (const auto& host : hosts_) {
    counts.fenced += host->checker->fenced_events();
    counts.stale_reads += host->checker->stale_reads();
    counts.overdue_reads += host->checker->overdue_reads();
    counts.between[static_cast<std::size_t>(HostFault::waited)] += host->checker->peers_were_last();
  }
  counts.faults = faults_.counts();
  return counts;
}

}  // namespace purgeline::sim
