#include "sim/world.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::vector<std::string> World::kOurs{"h", "*.Wiki.example", "[2001:db8::1]",
                                            "/re[0-9]+\\.example/"};
const std::vector<std::string> World::kForeign{"foreign.wiki.example", "*.denied.example"};

World::World(std::uint64_t seed, std::uint64_t capacity)
    : random_(seed),
      program_random_(~seed),
      reader_random_(seed ^ 0x5bd1e995'00000000),
      faults_(random_),
      transport_(clock_, agenda_, random_, faults_, trace_) {
  unique_ = random_.below(2) == 0;
  deny_ = kForeign;
  config_.max_useful_age = std::chrono::hours(24);
  config_.layer_deadline = milliseconds(300 + random_.below(700));
  config_.behind_after = milliseconds(5000 + random_.below(10000));
  log_config_.kafka.start_at = StartEarliest{};
  log_config_.catch_up.threshold = milliseconds(200 + random_.below(8000));
  log_config_.catch_up.min_share = 10;
  config_.drain_grace = seconds(2);
  if (random_.below(2) == 0) config_.max_age = std::chrono::hours(1);
  config_.coalesce.window = milliseconds(random_.below(200));
  config_.coalesce.clock_margin = seconds(2);
  config_.coalesce.capacity = random_.below(2) == 0 ? 1000 : 60;  // the small one is full often
  if (capacity > 0) config_.coalesce.capacity = capacity;
  // Several URLs that make a cache close are told from a cache that closes on all by the answers to
  // others; a table far smaller than any configuration may have could be full of them alone.
  if (config_.coalesce.capacity < 1000) faults_.set(Fault::poison_url, 0);
  config_.coalesce.bytes = 8 << 20;
  fill_caches();
  build_layers();
  // A list that is wrong is refused whole and changes nothing, as when a reload brings it.
  for (const char* wrong : {"h:80", "/(?=h)/", "h h", "/((/"}) {
    CHECK(!HostMatcher::make(kOurs, std::vector<std::string>{wrong}));
  }
  topics_ = {kFirstTopic, "codfw.resource-purge"};
  log_.create_topic(topics_[0], 2);
  if (faults_.times(Fault::topic_late) == 0) log_.create_topic(topics_[1], 2);
  log_.set_watch([this](const PartitionName& name, Offset offset, Priority priority) {
    maybe_crash();
    trace_.note("read", name.topic, offset.value());
    checker_->read(name, offset, priority == Priority::live);
  });
  log_.set_told([this](const PartitionName& name) {
    for (Fresh& fresh : fresh_) fresh.told = fresh.told || fresh.name == name;
  });
  log_.set_opened([this](const PartitionName& name) {
    for (Fresh& fresh : fresh_) {
      if (fresh.name == name) fresh.noticed = std::min(fresh.noticed, clock_.now());
    }
  });
  log_.set_redelivery([this] { return faults_.hit(Fault::redelivered); });
  transport_.set_crash_point([this] { maybe_crash(); });
  transport_.set_purged([this](std::uint16_t port, const std::string& url, bool certain) {
    content_.advance(clock_.now());
    if (certain || reader_random_.below(2) == 0) content_.purge(port, url);
  });
}

std::vector<PartitionName> World::partitions() const {
  std::vector<PartitionName> all;
  for (const std::string& topic : topics_) {
    for (std::int32_t partition = 0; log_.find({topic, partition}) != nullptr; ++partition) {
      all.push_back({topic, partition});
    }
  }
  return all;
}

void World::begin() {
  trace_.note("start", "program");
  checker_->program_started();
  for (const PartitionName& name : partitions()) {
    if (quarantined(name)) continue;  // what is stored is of the log before
    checker_->started(name, log_.position("purgeline", name), disk_.position("state.db", name));
  }
  configured();
  reload_now_ = false;
  SimProgram::Seams seams{log_,    disk_,   "purgeline",     letters_,       clock_,
                          agenda_, random_, faults_,         transport_,     lines_,
                          clock_,  nullptr, {topics_, 2, 4}, program_random_};
  seams.crash_point = [this] {
    maybe_crash();
  };
  seams.committing = [this](const Commit& commit, bool to_log) {
    if (to_log) maybe_crash();
    committing(commit, to_log);
  };
  program_ = std::make_unique<SimProgram>(config_, log_config_, *HostMatcher::make(kOurs, deny_),
                                          std::move(seams));
}

void World::end_of_program() {
  stop_until_.reset();
  crash_now_ = stop_now_ = false;
  crash_in_ = 0;
  checker_->program_ended();
  transport_.crash();
  program_.reset();
}

void World::crash() {
  if (!program_) return;
  trace_.note("crash", "program");
  end_of_program();
}

void World::stop() {
  trace_.note("stop", "program");
  program_->pipeline.drain(clock_.now() + config_.drain_grace);
  stop_now_ = false;
  checker_->program_ended();  // it takes up nothing more
  stop_until_ = clock_.now() + config_.drain_grace + seconds(3);
}

// Called by everything that the program calls.
void World::maybe_crash() {
  if (crash_in_ == 0 || --crash_in_ > 0) return;
  faults_.happened(Fault::crash_midway);
  throw Crash{};
}

void World::step() {
  if (crash_now_) crash();
  try {
    if (!program_) begin();
    if (stop_now_ && !stop_until_) stop();
    if (reload_now_ && !stop_until_) reload();
    program_->pipeline.turn();
    if (stop_until_ && (program_->pipeline.drained() || clock_.now() >= *stop_until_)) {
      trace_.note("stopped", "program");
      end_of_program();
      return;
    }
    look();
    MonoTime until = std::min(program_->pipeline.next_due(), clock_.now() + milliseconds(20));
    if (program_->source.readable()) until = std::min(until, clock_.now() + milliseconds(1));
    transport_.turn(until, program_->pipeline.tick());
  } catch (const Crash&) {
    crash();
  }
}

// That a target is left out is the program's decision, and so only it can say when it was.
void World::line(std::string_view event, LogFields fields) {
  if (event == "fell back") faults_.happened(Fault::fell_back);
  if (event == "fences full") ++fences_full_;
  if (event == "catching up") faults_.happened(Fault::catch_up);
  const bool removed = event == "target removed";
  if (event != "target behind" && event != "target live again" && !removed) return;
  const std::string& target = fields.begin()->second;
  if (removed) return checker_->removed(target);
  if (event == "target behind") {
    faults_.happened(Fault::target_behind);
    const auto why = std::find_if(fields.begin(), fields.end(),
                                  [](const auto& field) { return field.first == "why"; });
    // A few URLs that make caches close, all under way at once, look like an outage for a moment;
    // that is long enough when the table is full.
    const bool poisoned = faults_.counts()[static_cast<std::size_t>(Fault::poison_url)] > 0 &&
                          why->second.find("too many events wait") != std::string::npos;
    checker_->left_out(target, poisoned);
  } else {
    checker_->taken_in(target);
  }
}

// What must hold at every moment.
void World::look() {
  content_.advance(clock_.now());
  if (program_->pipeline.unfinished() > config_.coalesce.capacity) {
    checker_->fail("more unfinished events than the capacity");
  }
  if (!transport_.violation().empty()) checker_->fail(transport_.violation());
}

// A topic that was made anew is not written to before the program has seen it empty and that is
// stored: what it would take for a part that it has finished is lost, and neither the log nor the
// store gives it a way to know.
bool World::quarantined(const PartitionName& name) const {
  return std::any_of(fresh_.begin(), fresh_.end(),
                     [&name](const Fresh& fresh) { return fresh.name == name; });
}

void World::committing(const Commit& commit, bool to_log) {
  trace_.note("commit", commit.name.topic, commit.position.offset.value());
  const auto fresh = std::find_if(fresh_.begin(), fresh_.end(),
                                  [&commit](const Fresh& one) { return one.name == commit.name; });
  if (fresh != fresh_.end() && fresh->told &&
      commit.position.offset.value() > log_.find(commit.name)->high()) {
    checker_->fail(commit.name.topic + ": an offset is committed that is known to be gone: " +
                   std::to_string(commit.position.offset.value()));
  }
  // A position goes with the id of the cluster that the program knows it reads, so one that is sent
  // to another cluster before that is told is of no use there, and does no harm.
  const std::string& known = program_->source.cluster();
  checker_->committing(commit, to_log, known, fresh != fresh_.end() || known != log_.cluster());
}

void World::release_fresh() {
  std::erase_if(fresh_, [this](const Fresh& fresh) {
    // Commits that were on their way have arrived by then.
    if (fresh.noticed == MonoTime::max() || clock_.now() < fresh.noticed + seconds(4)) return false;
    const std::int64_t high = log_.find(fresh.name)->high();
    const auto in_log = log_.position("purgeline", fresh.name);
    const auto on_disk = disk_.position("state.db", fresh.name);
    return in_log && on_disk && in_log->offset.value() <= high && on_disk->offset.value() <= high;
  });
}

// Empty, or what is not yet committed.
std::string World::unfinished() const {
  if (log_.find({topics_[1], 0}) == nullptr) return topics_[1];
  for (const PartitionName& name : partitions()) {
    const auto position = log_.position("purgeline", name);
    const std::int64_t high = log_.find(name)->high();
    if (position && position->offset.value() == high) continue;
    return name.topic + "/" + std::to_string(name.partition) + " is committed up to " +
           (position ? std::to_string(position->offset.value()) : "nothing") + " of " +
           std::to_string(high);
  }
  if (!program_ || program_->pipeline.unfinished() == 0) return {};
  return std::to_string(program_->pipeline.unfinished()) + " events have not ended";
}

std::string World::run(Duration busy) {
  configured();
  write_backlog();
  plan(busy);
  const MonoTime busy_until = clock_.now() + busy;
  while (clock_.now() < busy_until && checker_->violation().empty()) step();
  calm();
  // Backoffs are a few seconds, and a commit that is never answered is given up after half a
  // minute; a quarter of an hour says that it never ends.
  const MonoTime give_up = clock_.now() + std::chrono::minutes(15);
  MonoTime next_word = clock_.now() + seconds(5);
  while (checker_->violation().empty()) {
    step();
    if (clock_.now() >= next_word && program_ && program_->pipeline.unfinished() > 0) {
      // Caches that close on some URLs are told from caches that close on all by other URLs only.
      next_word = clock_.now() + seconds(5);
      produce();
    }
    const std::string left = unfinished();
    if (program_ && left.empty()) break;
    if (clock_.now() < give_up) continue;
    checker_->fail("it never came to rest: " + left);
  }
  if (checker_->violation().empty()) checker_->at_end();
  check_copies();
  return checker_->violation();
}

World::Counts World::counts() const {
  Counts counts;
  counts.events = checker_->events();
  for (const auto& [port, cache] : const_cast<World*>(this)->transport_.caches()) {
    counts.purges += cache.seen.size();
  }
  counts.dead_letters = letters_.letters.size();
  counts.letter_commits = checker_->commits_with_letters();
  counts.reads = reads_;
  counts.fenced = checker_->fenced_events();
  counts.fences_full = fences_full_;
  counts.stale_reads = checker_->stale_reads();
  counts.overdue_reads = checker_->overdue_reads();
  counts.stored_after_purge = content_.stored_after_purge();
  counts.revived = content_.revived();
  counts.refilled = content_.refilled();
  counts.faults = faults_.counts();
  return counts;
}

}  // namespace purgeline::sim
