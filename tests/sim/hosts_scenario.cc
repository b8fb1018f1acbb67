// What happens in a run of several hosts: their caches, what producers write, who reads, and what
// goes wrong with a host, its caches, the log and the topic between hosts.
#include <algorithm>
#include <utility>

#include "sim/cache_draws.h"
#include "sim/hosts.h"

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonoTime Hosts::soon(Duration most) {
  return clock_.now() + drawn_below(random_, most);
}

void Hosts::draw_config() {
  unique_ = random_.below(2) == 0;
  fences_ = random_.below(2) == 0;
  config_.max_useful_age = std::chrono::hours(24);
  config_.layer_deadline = milliseconds(300 + random_.below(700));
  config_.behind_after = milliseconds(5000 + random_.below(10000));
  config_.drain_grace = seconds(2);
  config_.coalesce.clock_margin = seconds(2);
  config_.coalesce.capacity = random_.below(4) > 0 ? 1000 : 60;
  config_.coalesce.bytes = 8 << 20;
  config_.peers.topic = "peers";
  config_.peers.barrier_deadline = milliseconds(1000 + random_.below(4000));
  config_.peers.interval = milliseconds(50 + random_.below(200));
  log_config_.kafka.start_at = StartEarliest{};
  log_config_.catch_up.threshold = milliseconds(200 + random_.below(8000));
  log_config_.catch_up.min_share = 10;
  for (const char* topic : {"eqiad.resource-purge", "codfw.resource-purge"}) {
    log_.create_topic(topic, 2);
  }
  // One host's very late commit is nothing new here, and a small table would be full of URLs that
  // make caches close.
  faults_.set(Fault::topic_recreated, 1);
  if (quiet_ || config_.coalesce.capacity < 1000) faults_.set(Fault::poison_url, 0);
  // Without fences nothing takes time but the purges: then an old page is old because of them.
  if (fences_) {
    times_.lag = milliseconds(50 + random_.below(550));
    times_.fetch = milliseconds(200 + random_.below(1800));
    times_.hit = milliseconds(20 + random_.below(280));
    config_.fence.fetch_time = times_.fetch;
  } else {
    config_.fence.fetch_time.reset();
  }
  config_.fence.origin_lag = times_.lag;
  config_.fence.hit_time = times_.hit;
  config_.fence.capacity = 3000;
}

// 1000 and up are backends, 2000 and up frontends; the hundreds say whose.
void Hosts::add_cache(Host& host, LayerConfig& layer, std::size_t depth) {
  SimTarget cache;
  cache.port =
      static_cast<std::uint16_t>(1000 * (depth + 1) + 100 * host.index + host.layers[depth].size());
  cache.layer = depth;
  cache.faulty = !quiet_ && random_.below(2) == 0;
  cache.latency = std::chrono::microseconds(100 + random_.below(cache.faulty ? 50000 : 900));
  cache.depth = layer.depth;
  cache.connections = layer.connections;
  cache.close_after = static_cast<std::uint32_t>(1 + random_.below(20));
  cache.name = "127.0.0.1:" + std::to_string(cache.port);
  if (depth == 0) host.faulty_backend = host.faulty_backend || cache.faulty;
  layer.targets.push_back({cache.name, "127.0.0.1", cache.port, ""});
  host.layers[depth].push_back(cache.port);
  host.transport.add(std::move(cache));
}

void Hosts::build(Host& host) {
  host.config = config_;
  host.config.coalesce.window = milliseconds(random_.below(200));
  if (barrier_ != Barrier::on) host.config.peers = PeersConfig{};
  for (std::size_t depth = 0; depth < 2; ++depth) {
    LayerConfig layer;
    layer.name = depth == 0 ? "backend" : "frontend";
    layer.connections = 1 + random_.below(3);
    layer.depth = 4 + random_.below(16);
    layer.connect_timeout = seconds(1);
    layer.request_timeout = seconds(2);
    layer.max_attempts = 3 + random_.below(8);
    layer.proof = true;
    host.layers.emplace_back();
    for (std::size_t n = 1 + (random_.below(3) == 0 ? 1 : 0); n > 0; --n) {
      add_cache(host, layer, depth);
    }
    host.config.layers.push_back(std::move(layer));
  }
  CheckOptions checks;
  checks.layers = host.layers;
  checks.layer_deadline = host.config.layer_deadline;
  checks.window = host.config.coalesce.window;
  checks.unique = unique_;
  checks.times = times_;
  checks.fences = fences_;
  checks.fresh = true;
  checks.fence_barrier = true;
  checks.travel = config_.peers.interval + SimPeers::kTravel;
  if (fences_) checks.travel += (times_.lag + times_.fetch) * 3 / 16;
  checks.reads_only = barrier_ == Barrier::off_to_read;
  host.checker = std::make_unique<Checker>(std::move(checks), clock_, host.transport, letters_);
}

// ---- caches and readers

void Hosts::fill_caches() {
  if (reader_random_.below(2) == 0) kinds_.ttl = milliseconds(500 + reader_random_.below(4000));
  kinds_.grace = reader_random_.below(2) == 0;
  kinds_.keeps = reader_random_.below(2) == 0;
  SimContent::Layers layers(2);
  for (const auto& host : hosts_) {
    for (std::size_t depth = 0; depth < layers.size(); ++depth) {
      layers[depth].insert(layers[depth].end(), host->layers[depth].begin(),
                           host->layers[depth].end());
    }
  }
  content_.set_layers(layers);
  content_.set_refill([this](std::uint16_t from, std::uint16_t to) {
    if (from % 1000 / 100 != to % 1000 / 100) host_faults_.happened(HostFault::refilled);
  });
  content_.set_reader([this](const PageRead& read) {
    ++reads_;
    if (read.version != read.latest && trace_.printing()) {
      trace_.say("  old: " + caches_.at(read.port).name + " serves " + read.url + " version " +
                 std::to_string(read.version) + " of " + std::to_string(read.latest));
    }
    checker_of(read.port).read_page(read);
  });
}

void Hosts::page_changed(const std::string& url, MonoTime made) {
  content_.advance(clock_.now());
  for (const auto& [port, cache] : caches_) {
    if (content_.latest(url) == 0 && reader_random_.below(2) == 0) content_.store(port, url);
  }
  content_.change(
      url, made,
      {drawn_below(reader_random_, times_.lag), drawn_below(reader_random_, times_.lag)});
  for (std::uint64_t n = reader_random_.below(8); n > 0; --n) read_later(url);
}

void Hosts::read_later(const std::string& url) {
  const Host& host = *hosts_[reader_random_.below(hosts_.size())];
  const auto& layer = host.layers[reader_random_.below(4) == 0 ? 0 : 1];
  const std::uint16_t port = layer[reader_random_.below(layer.size())];
  const Duration near = times_.lag + milliseconds(300);
  const Duration far = 2 * (times_.lag + times_.fetch + 3 * times_.hit) + seconds(2);
  const Duration when = drawn_below(reader_random_, reader_random_.below(2) == 0 ? near : far);
  content_.read_at(clock_.now() + when, port, url);
}

// ---- producers

void Hosts::append(const std::string& url, const std::string& json, MonoTime changed, bool wanted) {
  const std::vector<PartitionName> all = partitions();
  const PartitionName name = all[random_.below(all.size())];
  TrueEvent event;
  event.url = url;
  event.changed = changed;
  event.appended = clock_.now();
  event.wanted = wanted;
  // The broker's clock is right within some tenths of a second.
  const WallTime at =
      clock_.wall() + milliseconds(static_cast<std::int64_t>(random_.below(800)) - 400);
  event.offset = log_.append(name.topic, name.partition, at, json).value();
  trace_.note("append", name.topic + "/" + std::to_string(name.partition) + " " + url,
              event.offset);
  for (const auto& host : hosts_) host->checker->appended(name, event);
}

void Hosts::produce() {
  ++produced_;
  const std::uint64_t page = unique_ ? produced_ : random_.below(30);
  const char* kind = faults_.hit(Fault::poison_url)    ? "/poison"
                     : faults_.hit(Fault::refused_url) ? "/refused"
                                                       : "/p";
  const std::string url = "h" + std::to_string(page % 3) + kind + std::to_string(page);
  const bool wanted = !faults_.hit(Fault::malformed_event);
  const std::string json = wanted ? R"({"meta":{"uri":"http://)" + url + R"(","id":")" +
                                        std::to_string(produced_) + R"("}})"
                                  : R"({"meta":{"uri":"http://h/a b"}})";
  const MonoTime changed = clock_.now();
  if (wanted) page_changed(url, changed);
  Duration delay{0};
  if (faults_.hit(Fault::out_of_order)) delay = milliseconds(1 + random_.below(2000));
  for (std::uint64_t i = faults_.hit(Fault::log_duplicate) ? 2 : 1; i > 0; --i) {
    agenda_.at(clock_.now() + delay * static_cast<std::int64_t>(i),
               [this, url, json, changed, wanted] { append(url, json, changed, wanted); });
  }
}

// ---- what goes wrong, and when

template <typename Action>
void Hosts::repeat(std::uint64_t times, Duration busy, Action action) {
  for (; times > 0; --times) agenda_.at(soon(busy), action);
}

void Hosts::plan(Duration busy) {
  const MonoTime end = clock_.now() + busy;
  const std::uint64_t pause = 20 + random_.below(150);  // ms, the mean between two events
  for (MonoTime at = clock_.now() + milliseconds(random_.below(1000)); at < end;
       at += milliseconds(random_.below(2 * pause))) {
    agenda_.at(at, [this] { produce(); });
  }
  if (quiet_) return;
  plan_hosts(busy);
  plan_peers(busy);
  plan_caches(busy);
  repeat(faults_.times(Fault::log_unreachable), busy, [this] {
    faults_.happened(Fault::log_unreachable);
    log_.set_reachable(false);
    agenda_.at(soon(seconds(5)), [this] { log_.set_reachable(true); });
  });
  repeat(faults_.times(Fault::log_frozen), busy, [this] {
    faults_.happened(Fault::log_frozen);
    log_.set_frozen(true);
    agenda_.at(soon(seconds(5)), [this] { log_.set_frozen(false); });
  });
  repeat(faults_.times(Fault::letter_disk), busy, [this] {
    faults_.happened(Fault::letter_disk);
    letters_.full = true;
    agenda_.at(soon(seconds(8)), [this] { letters_.full = false; });
  });
}

// Back at once, after a while, or when its peers have long given it up.
void Hosts::plan_hosts(Duration busy) {
  repeat(faults_.times(Fault::crash), busy, [this] {
    faults_.happened(Fault::crash);
    any_host().crash_now = true;
  });
  repeat(faults_.times(Fault::crash_midway), busy,
         [this] { any_host().crash_in = 1 + random_.below(40); });
  repeat(faults_.times(Fault::stop), busy, [this] {
    faults_.happened(Fault::stop);
    Host& host = any_host();
    if (host.program) host.stop_now = true;
  });
  repeat(host_faults_.times(HostFault::killed), busy, [this] {
    host_faults_.happened(HostFault::killed);
    Host& host = any_host();
    host.crash_now = true;
    host.away_until = soon(3 * config_.peers.barrier_deadline);
  });
}

void Hosts::plan_peers(Duration busy) {
  const auto until = [this](HostFault fault) {
    host_faults_.happened(fault);
    const MonoTime end = soon(3 * config_.peers.barrier_deadline);
    // What was not said then is said within a second or so.
    for (const auto& host : hosts_) host->checker->peers_late(end + seconds(2));
    return end;
  };
  repeat(host_faults_.times(HostFault::topic_away), busy, [this, until] {
    peers_.set_reachable(false);
    agenda_.at(until(HostFault::topic_away), [this] { peers_.set_reachable(true); });
  });
  repeat(host_faults_.times(HostFault::silent), busy, [this, until] {
    const std::string name = any_host().name;
    peers_.set_silent(name, true);
    agenda_.at(until(HostFault::silent), [this, name] { peers_.set_silent(name, false); });
  });
  repeat(host_faults_.times(HostFault::deaf), busy, [this, until] {
    const std::string name = any_host().name;
    peers_.set_deaf(name, true);
    agenda_.at(until(HostFault::deaf), [this, name] { peers_.set_deaf(name, false); });
  });
}

void Hosts::plan_caches(Duration busy) {
  for (const auto& host : hosts_) {
    for (const auto& layer : host->layers) {
      for (const std::uint16_t port : layer) {
        if (!caches_.at(port).faulty) continue;
        repeat(faults_.times(Fault::target_down), busy, [this, &host = *host, port] {
          faults_.happened(Fault::target_down);
          content_.advance(clock_.now());
          content_.stop(port);
          host.transport.stop_cache(port);
          agenda_.at(soon(seconds(10)), [this, &host, port] {
            content_.advance(clock_.now());
            content_.start(port);
            host.transport.start_cache(port);
          });
        });
        repeat(faults_.times(Fault::denial), busy, [this, port] {
          caches_.at(port).denies = true;
          agenda_.at(soon(seconds(8)), [this, port] { caches_.at(port).denies = false; });
        });
      }
    }
  }
}

void Hosts::calm() {
  trace_.note("calm", "world");
  faults_.stop();
  host_faults_.stop();
  log_.set_reachable(true);
  log_.set_frozen(false);
  letters_.full = false;
  peers_.set_reachable(true);
  for (const auto& host : hosts_) {
    host->crash_in = 0;
    host->away_until = clock_.now();
    peers_.set_silent(host->name, false);
    peers_.set_deaf(host->name, false);
  }
  content_.advance(clock_.now());
  for (auto& [port, cache] : caches_) {
    cache.denies = false;
    content_.start(port);
    hosts_[port % 1000 / 100]->transport.start_cache(port);
  }
  const bool prompt = faults_.counts()[static_cast<std::size_t>(Fault::poison_url)] == 0;
  for (const auto& host : hosts_) host->checker->set_prompt(prompt);
}

}  // namespace purgeline::sim
