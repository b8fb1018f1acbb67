#include "sim/world.h"

#include <algorithm>
#include <utility>

namespace purgeline::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTopics[] = {"eqiad.resource-purge", "codfw.resource-purge"};

LayerConfig layer(const std::string& name, const std::vector<std::uint16_t>& ports,
                  test::FakeRandom& random) {
  LayerConfig config;
  config.name = name;
  for (const std::uint16_t port : ports) {
    config.targets.push_back({"127.0.0.1:" + std::to_string(port), "127.0.0.1", port, ""});
  }
  config.connections = 1 + random.below(3);
  config.depth = 1 + random.below(16);
  config.connect_timeout = seconds(1);
  config.request_timeout = seconds(2);
  config.max_attempts = 10;
  return config;
}

}  // namespace

bool SimDeadLetters::put(std::uint64_t ticket, const DeadLetter& letter) {
  if (waiting_.size() >= 8) return false;
  waiting_.push_back({ticket, letter, 5});
  return true;
}

void SimDeadLetters::poll() {
  for (std::size_t i = 0; i < waiting_.size();) {
    if (--waiting_[i].polls > 0) {
      ++i;
      continue;
    }
    const Waiting kept = waiting_[i];
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    disk_.push_back(kept.letter);
    listener_->on_dead_letter_kept(kept.ticket);
  }
}

World::Program::Program(World& world)
    : source(world.log_, {{kTopics[0], kTopics[1]}, 2, 4}),
      log_store(world.log_, "purgeline"),
      local_store(world.log_, "local"),
      dead_letters(world.disk_),
      pipeline(world.config_, world.log_config_, *HostMatcher::make({}, {}),
               {world.clock_, world.random_, world.transport_, resolver, source, log_store,
                local_store, dead_letters, world.lines_}) {
  pipeline.start();
}

World::World(std::uint64_t seed) : random_(seed), transport_(clock_, agenda_, random_) {
  backends_ = {1000};
  if (random_.below(3) == 0) backends_.push_back(1001);
  frontends_ = {2000};
  config_.max_useful_age = std::chrono::hours(24);
  config_.layer_deadline = seconds(1);
  config_.behind_after = milliseconds(1000 + random_.below(9000));
  log_config_.kafka.start_at = StartEarliest{};
  log_config_.catch_up.threshold = milliseconds(200 + random_.below(8000));
  log_config_.catch_up.min_share = 10;
  config_.drain_grace = seconds(2);
  config_.coalesce.window = milliseconds(random_.below(200));
  config_.coalesce.clock_margin = seconds(2);
  config_.coalesce.capacity = random_.below(2) == 0 ? 1000 : 60;  // the small one stalls often
  config_.coalesce.bytes = 8 << 20;
  config_.layers = {layer("backend", backends_, random_), layer("frontend", frontends_, random_)};
  for (const char* topic : kTopics) log_.create_topic(topic, 2);
  draw_faults();
}

// Each seed has faults of its own likeliness: a world where everything fails all the time hides as
// much as one where nothing does.
void World::draw_faults() {
  for (const auto* ports : {&backends_, &frontends_}) {
    for (const std::uint16_t port : *ports) {
      CacheFaults& faults = transport_.cache(port).faults;
      if (random_.below(2) == 0) faults.reset = static_cast<std::uint32_t>(random_.below(30));
      if (random_.below(2) == 0) faults.error_5xx = static_cast<std::uint32_t>(random_.below(100));
      if (random_.below(3) == 0) faults.silent = static_cast<std::uint32_t>(random_.below(5));
      faults.latency = std::chrono::microseconds(100 + random_.below(20000));
    }
  }
}

void World::produce() {
  const std::string url = "h/p" + std::to_string(random_.below(30));
  const auto wrong = milliseconds(static_cast<std::int64_t>(random_.below(2000)) - 1000);
  // dt as some producers write it: whole seconds, by a clock that is a little wrong.
  const auto dt = std::chrono::floor<seconds>((clock_.wall() + wrong).time_since_epoch()).count();
  const std::chrono::sys_days day(std::chrono::floor<std::chrono::days>(seconds(dt)));
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds(dt) - day.time_since_epoch());
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  made_.push_back({url, clock_.now()});
  const std::string json =
      R"({"meta":{"uri":"http://)" + url + R"(","dt":")" + text + R"("},"tags":["mediawiki"]})";
  const std::uint64_t copies = random_.below(8) == 0 ? 2 : 1;  // through both topics at once
  for (std::uint64_t i = 0; i < copies; ++i) {
    log_.append(kTopics[(made_.size() + i) % 2], static_cast<std::int32_t>(random_.below(2)),
                clock_.wall(), json);
  }
}

void World::plan(Duration busy) {
  const MonoTime end = clock_.now() + busy;
  for (MonoTime at = clock_.now(); at < end; at += milliseconds(random_.below(60))) {
    agenda_.at(at, [this] { produce(); });
  }
  for (std::uint64_t n = random_.below(4); n > 0; --n) {
    agenda_.at(soon(busy), [this] { crash_now_ = true; });
  }
  for (const auto* ports : {&backends_, &frontends_}) {
    for (const std::uint16_t port : *ports) {
      if (random_.below(2) == 0) {
        const MonoTime at = soon(busy);
        agenda_.at(at, [this, port] {
          ++counts_.cache_stops;
          transport_.stop_cache(port);
        });
        agenda_.at(at + milliseconds(random_.below(8000)),
                   [this, port] { transport_.start_cache(port); });
      }
      if (random_.below(3) == 0) {
        const MonoTime at = soon(busy);
        agenda_.at(at, [this, port] { transport_.cache(port).denies = true; });
        agenda_.at(at + milliseconds(random_.below(6000)),
                   [this, port] { transport_.cache(port).denies = false; });
      }
    }
  }
  if (random_.below(2) == 0) {
    const MonoTime at = soon(busy);
    agenda_.at(at, [this] {
      ++counts_.log_outages;
      log_.set_reachable(false);
    });
    agenda_.at(at + milliseconds(random_.below(5000)), [this] { log_.set_reachable(true); });
  }
  if (random_.below(2) == 0) {
    agenda_.at(soon(busy), [this] {
      ++counts_.refused_commits;
      log_.refuse_commits(3);
    });
  }
  agenda_.at(end, [this] { calm(); });
}

void World::calm() {
  log_.set_reachable(true);
  log_.refuse_commits(0);
  for (const auto* ports : {&backends_, &frontends_}) {
    for (const std::uint16_t port : *ports) {
      SimCache& cache = transport_.cache(port);
      cache.denies = false;
      cache.faults = CacheFaults{};
      if (!cache.up) transport_.start_cache(port);
    }
  }
}

void World::crash() {
  ++counts_.crashes;
  crash_now_ = false;
  transport_.crash();
  program_.reset();
}

void World::step() {
  if (crash_now_) crash();
  if (!program_) program_ = std::make_unique<Program>(*this);
  program_->pipeline.turn();
  MonoTime until = std::min(program_->pipeline.next_due(), clock_.now() + milliseconds(20));
  if (program_->source.readable()) until = clock_.now() + milliseconds(1);
  transport_.turn(until, program_->pipeline.tick());
}

bool World::finished() const {
  for (const char* topic : kTopics) {
    for (std::int32_t partition = 0; partition < 2; ++partition) {
      const auto position = log_.position("purgeline", {topic, partition});
      const std::int64_t high = log_.find({topic, partition})->high();
      if (!position || position->offset.value() < high) return false;
    }
  }
  return true;
}

bool World::run(Duration busy) {
  plan(busy);
  const MonoTime busy_until = clock_.now() + busy;
  while (clock_.now() < busy_until) step();
  // Backoffs are a few seconds, so a minute is plenty for what is left; five say that it never
  // ends.
  const MonoTime give_up = clock_.now() + std::chrono::minutes(5);
  while (clock_.now() < give_up) {
    step();
    if (finished() && program_ && program_->pipeline.unfinished() == 0) return true;
  }
  return false;
}

bool World::in_dead_letters(const std::string& url) const {
  return std::any_of(disk_.begin(), disk_.end(),
                     [&url](const DeadLetter& letter) { return letter.host + letter.path == url; });
}

// What a person needs to see why: the change, and every purge of the URL after it.
std::string World::describe(const Made& made) {
  const auto ms = [this](MonoTime at) {
    return at == MonoTime::max() ? std::string("never")
                                 : std::to_string((at - started_).count() / 1000) + " us";
  };
  std::string text = made.url + " changed at " + ms(made.at) + " and is not purged in order:";
  for (const auto* ports : {&backends_, &frontends_}) {
    for (const std::uint16_t port : *ports) {
      for (const PurgeSeen& seen : transport_.cache(port).seen) {
        if (seen.url != made.url || seen.received < made.at - std::chrono::seconds(2)) continue;
        text += "\n  " + std::to_string(port) + " received " + ms(seen.received) + " answered " +
                ms(seen.answered);
      }
    }
  }
  return text;
}

// Promises 1, 2 and 3: every target got a purge after the change, and the frontend's began after
// the backend had answered one.
std::string World::check_event(const Made& made) {
  if (in_dead_letters(made.url)) return {};
  MonoTime backend_done = MonoTime::min();
  for (const std::uint16_t port : backends_) {
    // The earliest answer: an earlier purge may have been lost with its connection and sent again.
    MonoTime answered = MonoTime::max();
    for (const PurgeSeen& purge : transport_.cache(port).seen) {
      if (purge.url == made.url && purge.received > made.at) {
        answered = std::min(answered, purge.answered);
      }
    }
    if (answered == MonoTime::max()) return describe(made);
    backend_done = std::max(backend_done, answered);
  }
  for (const std::uint16_t port : frontends_) {
    const auto& seen = transport_.cache(port).seen;
    const bool good = std::any_of(seen.begin(), seen.end(), [&](const PurgeSeen& purge) {
      return purge.url == made.url && purge.received > backend_done &&
             purge.answered != MonoTime::max();
    });
    if (!good) return describe(made);
  }
  return {};
}

// No frontend purge without a backend's answer before it, unless the layer deadline had come.
std::string World::check_frontend_order() {
  for (const PurgeSeen& front : transport_.cache(frontends_[0]).seen) {
    if (front.url.find("purgeline-probe") != std::string::npos) continue;
    const auto& seen = transport_.cache(backends_[0]).seen;
    const bool after_answer =
        std::any_of(seen.begin(), seen.end(), [&front](const PurgeSeen& back) {
          return back.url == front.url && back.answered <= front.received;
        });
    const bool after_deadline = std::any_of(made_.begin(), made_.end(), [&](const Made& made) {
      return made.url == front.url && made.at + config_.layer_deadline <= front.received;
    });
    // Nobody waits for a target that is behind; what it missed is purged on both when it is back.
    if (!after_answer && !after_deadline && lines_.count("target behind") == 0)
      return front.url + ": frontend purged before the backend";
  }
  return {};
}

std::string World::check() {
  for (const Made& made : made_) {
    if (std::string wrong = check_event(made); !wrong.empty()) return wrong;
  }
  return check_frontend_order();
}

std::uint64_t World::trace_hash() const {
  std::uint64_t hash = 1469598103934665603ULL;
  const auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 1099511628211ULL;
  };
  auto& transport = const_cast<SimTransport&>(transport_);
  for (const auto* ports : {&backends_, &frontends_}) {
    for (const std::uint16_t port : *ports) {
      for (const PurgeSeen& seen : transport.cache(port).seen) {
        mix(std::hash<std::string>{}(seen.url));
        mix(static_cast<std::uint64_t>(seen.received.time_since_epoch().count()));
      }
    }
  }
  mix(static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()));
  return hash;
}

World::Counts World::counts() const {
  Counts counts = counts_;
  counts.events = made_.size();
  counts.dead_letters = disk_.size();
  counts.wire = transport_.counts();
  return counts;
}

}  // namespace purgeline::sim
