// What happens in a run: the caches that there are, what producers write, and when something goes
// wrong. A new kind of disturbance is one more row in faults.h and one more line in plan_*().
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "sim/world.h"

namespace purgeline::sim {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// RFC 3339 as some producers write it, in whole seconds.
std::string date_text(WallTime when) {
  const auto whole = std::chrono::floor<seconds>(when.time_since_epoch());
  const std::chrono::sys_days day(std::chrono::floor<std::chrono::days>(whole));
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(whole - day.time_since_epoch());
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

}  // namespace

MonoTime World::soon(Duration most) {
  return clock_.now() + Duration(static_cast<std::int64_t>(
                            random_.below(static_cast<std::uint64_t>(most.count()))));
}

void World::build_layers() {
  CheckOptions checks;
  const std::size_t layers = random_.below(4) == 0 ? 3 : 2;
  for (std::size_t l = 0; l < layers; ++l) {
    LayerConfig config;
    config.name = "layer" + std::to_string(l + 1);
    config.connections = 1 + random_.below(3);
    config.depth = 1 + random_.below(16);
    config.connect_timeout = seconds(1);
    config.request_timeout = seconds(2);
    config.max_attempts = 3 + random_.below(8);
    config.proof = true;
    checks.layers.emplace_back();
    for (std::size_t n = 1 + (random_.below(3) == 0 ? 1 : 0); n > 0; --n) {
      SimTarget target = draw_target(
          static_cast<std::uint16_t>(kBackend * (l + 1) + checks.layers[l].size()), config);
      const bool named = target.faulty && random_.below(2) == 0;
      const std::string host = named ? "cache.sim" : "127.0.0.1";
      target.name = host + ":" + std::to_string(target.port);
      config.targets.push_back({target.name, host, target.port, ""});
      checks.layers[l].push_back(target.port);
      transport_.add(std::move(target));
    }
    config_.layers.push_back(std::move(config));
  }
  checks.layer_deadline = config_.layer_deadline;
  checks.window = config_.coalesce.window;
  checks.unique = unique_;
  checks.times = times_;
  checks.fences = checks.fresh = fences_;
  checks.room = room_for_fences();
  checker_ = std::make_unique<Checker>(std::move(checks), clock_, transport_, letters_);
}

// A cache with as much luck as the seed gives it; its name is the caller's.
SimTarget World::draw_target(std::uint16_t port, const LayerConfig& layer) {
  SimTarget target;
  target.port = port;
  target.faulty = random_.below(3) > 0;
  target.latency = target.faulty ? std::chrono::microseconds(100 + random_.below(20000))
                                 : std::chrono::microseconds(100 + random_.below(900));
  target.depth = layer.depth;
  target.connections = layer.connections;
  target.close_after = static_cast<std::uint32_t>(1 + random_.below(20));
  return target;
}

// ---- producers

// Half of the worlds never repeat a URL: a repeat purges again what was forgotten.
std::string World::draw_url() {
  const std::uint64_t page = unique_ ? produced_ : random_.below(30);
  constexpr const char* kHosts[] = {"h", "en.wiki.example", "h:8080", "re7.example",
                                    "[2001:db8::1]"};
  const std::string host = kHosts[page % 5];
  const std::string number = std::to_string(page);
  if (faults_.hit(Fault::poison_url)) return host + "/poison" + number;
  if (faults_.hit(Fault::refused_url)) return host + "/refused" + number;
  return host + "/p" + number;
}

std::string World::draw_json(const std::string& url, bool& wanted) {
  wanted = false;
  if (faults_.hit(Fault::malformed_event)) {
    constexpr const char* kMalformed[] = {"",
                                          "not json",
                                          "{",
                                          R"({"meta":{}})",
                                          "\xff\xfe",
                                          R"({"meta":{"uri":"http://h/a b"}})",
                                          R"({"meta":{"uri":"ftp://h/a"}})"};
    return kMalformed[random_.below(7)];
  }
  if (faults_.hit(Fault::foreign_host)) {
    constexpr const char* kForeigners[] = {"foreign.wiki.example", "a.denied.example", "other"};
    return R"({"meta":{"uri":"http://)" + std::string(kForeigners[random_.below(3)]) + R"(/x"}})";
  }
  wanted = true;
  // The producer's clock is a little wrong, or hours; what it writes may be no date at all.
  WallTime dt = clock_.wall() + milliseconds(static_cast<std::int64_t>(random_.below(600)) - 300);
  std::string date = date_text(dt);
  if (faults_.hit(Fault::producer_clock)) {
    switch (random_.below(3)) {
      case 0:
        date = date_text(dt + hours(1 + static_cast<std::int64_t>(random_.below(100))));
        break;
      case 1:
        date = date_text(dt - hours(1 + static_cast<std::int64_t>(random_.below(100))));
        break;
      default:
        date = "yesterday";
    }
  }
  return R"({"meta":{"uri":"http://)" + url + R"(","dt":")" + date + R"(","id":")" +
         std::to_string(produced_) + R"("},"tags":["mediawiki"]})";
}

PartitionName World::draw_partition() {
  std::vector<PartitionName> all = partitions();
  std::erase_if(all, [this](const PartitionName& name) { return quarantined(name); });
  if (all.empty()) return {};
  return all[random_.below(all.size())];
}

void World::append(const std::string& topic, const std::string& url, const std::string& json,
                   MonoTime changed, bool wanted, WallTime log_time) {
  release_fresh();
  PartitionName name = draw_partition();
  if (name.topic.empty()) return;
  if (!topic.empty() && !quarantined({topic, name.partition}) &&
      log_.find({topic, name.partition}) != nullptr) {
    name.topic = topic;
  }
  TrueEvent event;
  event.url = url;
  event.changed = changed;
  event.appended = clock_.now();
  event.wanted = wanted;
  event.offset = log_.append(name.topic, name.partition, log_time, json).value();
  trace_.note("append", name.topic + "/" + std::to_string(name.partition) + " " + url,
              event.offset);
  checker_->appended(name, std::move(event));
}

void World::produce() {
  if (!program_ && random_.below(2) == 0) return;  // a restart has less to read
  ++produced_;
  const std::string url = draw_url();
  bool wanted = true;
  const std::string json = draw_json(url, wanted);
  const MonoTime changed = clock_.now();
  if (wanted) page_changed(url, changed);
  // The broker's clock is right within some tenths of a second.
  const auto log_time = [this] {
    return clock_.true_wall() + milliseconds(static_cast<std::int64_t>(random_.below(800)) - 400);
  };
  Duration delay{0};
  if (faults_.hit(Fault::out_of_order)) delay = milliseconds(1 + random_.below(2000));
  const std::uint64_t copies = faults_.hit(Fault::log_duplicate) ? 2 : 1;
  for (std::uint64_t i = 0; i < copies; ++i) {
    const std::string topic = copies == 1 ? "" : topics_[i];
    agenda_.at(clock_.now() + delay * static_cast<std::int64_t>(i + 1),
               [this, topic, url, json, changed, wanted, log_time] {
                 append(topic, url, json, changed, wanted, log_time());
               });
  }
}

// What was in the log before the program ever ran. Some of it is too old to matter.
void World::write_backlog() {
  if (faults_.times(Fault::backlog) == 0) return;
  faults_.happened(Fault::backlog);
  for (std::uint64_t n = 20 + random_.below(200); n > 0; --n) {
    ++produced_;
    const bool old = random_.below(3) == 0;
    const WallTime then = clock_.wall() - (old ? Duration(hours(2)) : Duration(seconds(60)));
    const std::string url = "h/p" + std::to_string(unique_ ? produced_ : random_.below(30));
    const std::string json =
        R"({"meta":{"uri":"http://)" + url + R"(","dt":")" + date_text(then) + R"("}})";
    page_changed(url, clock_.now() - seconds(60));
    append("", url, json, clock_.now() - seconds(60), !(old && config_.max_age), then);
  }
}

// ---- what goes wrong, and when

void World::repeat(Fault fault, Duration busy, const std::function<void()>& action) {
  for (std::uint64_t n = faults_.times(fault); n > 0; --n) {
    agenda_.at(soon(busy), [this, fault, action] {
      faults_.happened(fault);
      action();
    });
  }
}

void World::plan(Duration busy) {
  const MonoTime end = clock_.now() + busy;
  const std::uint64_t pause = 10 + random_.below(100);  // ms, the mean between two events
  for (MonoTime at = clock_.now(); at < end; at += milliseconds(random_.below(2 * pause))) {
    agenda_.at(at, [this] { produce(); });
  }
  repeat(Fault::crash, busy, [this] { crash_now_ = true; });
  for (std::uint64_t n = faults_.times(Fault::crash_midway); n > 0; --n) {
    agenda_.at(soon(busy), [this] { crash_in_ = 1 + random_.below(40); });
  }
  repeat(Fault::stop, busy, [this] { stop_now_ = true; });
  repeat(Fault::reload, busy, [this] { change_config(); });
  plan_log(busy);
  plan_clocks(busy);
  plan_caches(busy);
}

void World::plan_log(Duration busy) {
  repeat(Fault::log_unreachable, busy, [this] {
    log_.set_reachable(false);
    agenda_.at(clock_.now() + milliseconds(random_.below(5000)),
               [this] { log_.set_reachable(true); });
  });
  repeat(Fault::log_frozen, busy, [this] {
    log_.set_frozen(true);
    agenda_.at(clock_.now() + milliseconds(random_.below(5000)),
               [this] { log_.set_frozen(false); });
  });
  repeat(Fault::letter_disk, busy, [this] {
    letters_.full = true;
    agenda_.at(clock_.now() + milliseconds(random_.below(8000)), [this] { letters_.full = false; });
  });
  repeat(Fault::topic_late, busy, [this] { log_.create_topic(topics_[1], 2); });
  repeat(Fault::partition_added, busy, [this] { log_.add_partitions(topics_[0], 3); });
  repeat(Fault::retention, busy, [this] { eat_unread(); });
  repeat(Fault::topic_recreated, busy, [this] { recreate_topic(); });
  repeat(Fault::cluster_changed, busy, [this] { change_cluster(); });
}

// The log is away or not read for a while, and loses what was written meanwhile.
void World::eat_unread() {
  const PartitionName name = draw_partition();
  if (name.topic.empty()) return;
  const SimLog::Partition* partition = log_.find(name);
  const std::int64_t size = partition->high() - partition->low;
  if (size == 0) return;
  const Offset low(partition->high() -
                   static_cast<std::int64_t>(random_.below(
                       static_cast<std::uint64_t>(std::min<std::int64_t>(size, 10)))));
  trace_.note("retention", name.topic, low.value());
  log_.trim(name.topic, name.partition, low);
  checker_->trimmed(name, low);
}

void World::recreate_topic() {
  trace_.note("recreate", topics_[0]);
  log_.recreate_topic(topics_[0]);
  for (const PartitionName& name : partitions()) {
    if (name.topic != topics_[0]) continue;
    checker_->recreated(name);
    fresh_.push_back({name});
  }
}

// The program is started against another cluster, which has a copy of the log, or finds itself
// before one.
void World::change_cluster() {
  if (random_.below(2) == 0) crash();
  const std::int64_t shift = 1000 + static_cast<std::int64_t>(random_.below(100000));
  const std::string id = "sim-cluster-" + std::to_string(++clusters_);
  trace_.note("cluster", id, shift);
  for (const PartitionName& name : partitions()) {
    checker_->cluster(shift, name, Offset(log_.find(name)->low));
  }
  log_.move_to_cluster(id, shift);
}

// This host's clock is right within some tenths of a second, or the kernel says that it is not.
void World::plan_clocks(Duration busy) {
  repeat(Fault::host_clock, busy, [this] {
    clock_.set_wrong(milliseconds(static_cast<std::int64_t>(random_.below(800)) - 400));
  });
  repeat(Fault::clock_unsynchronised, busy, [this] {
    clock_.set_synchronised(false);
    // Within max_age: a host that takes events for too old by a wrong clock follows its rule.
    clock_.set_wrong(seconds(static_cast<std::int64_t>(random_.below(3600)) - 1800));
    agenda_.at(clock_.now() + milliseconds(random_.below(8000)), [this] {
      clock_.set_wrong(Duration(0));
      clock_.set_synchronised(true);
    });
  });
}

void World::plan_caches(Duration busy) {
  for (auto& [port, target] : transport_.caches()) {
    if (!target.faulty) continue;
    const std::uint16_t which = port;
    repeat(Fault::target_down, busy, [this, which] {
      stop_cache(which);
      agenda_.at(clock_.now() + milliseconds(random_.below(10000)),
                 [this, which] { start_cache(which); });
    });
    for (std::uint64_t n = faults_.times(Fault::denial); n > 0; --n) {
      const MonoTime at = soon(busy);
      agenda_.at(at, [this, which] { transport_.cache(which).denies = true; });
      agenda_.at(at + milliseconds(random_.below(8000)),
                 [this, which] { transport_.cache(which).denies = false; });
    }
  }
}

void World::calm() {
  trace_.note("calm", "world");
  faults_.stop();
  crash_in_ = 0;
  log_.set_reachable(true);
  log_.set_frozen(false);
  letters_.full = false;
  clock_.set_wrong(Duration(0));
  clock_.set_synchronised(true);
  for (auto& [port, target] : transport_.caches()) {
    target.denies = false;
    if (!target.up) start_cache(port);
  }
  if (log_.find({topics_[1], 0}) == nullptr) log_.create_topic(topics_[1], 2);
  checker_->set_prompt(faults_.counts()[static_cast<std::size_t>(Fault::poison_url)] == 0);
}

}  // namespace purgeline::sim
