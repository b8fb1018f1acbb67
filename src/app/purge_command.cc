#include "app/purge_command.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/config_value.h"
#include "decode/url.h"
#include "dispatch/dispatcher.h"
#include "io/make_transport.h"
#include "io/system_clock.h"
#include "io/thread_resolver.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

using cli::ExitStatus;

constexpr std::uint32_t kTries = 3;  // a person waits

struct Job {
  std::string url;  // as given
  std::string host;
  std::string path;
  std::uint32_t tries{0};
  std::uint32_t generation{0};
  Outcome last;
};

// PurgeRun: each URL goes to the first target, then to the next, and so on: caches in refill order.
//
// Place: in the coalescer's and the pipeline's place, around a Dispatcher. Thread: one.
// Bound: the URLs given.
class PurgeRun : public DeliveryQueue, public OutcomeSink {
 public:
  PurgeRun(std::vector<Job> jobs, std::vector<Endpoint> targets, Clock& clock, std::ostream& out)
      : jobs_(std::move(jobs)), targets_(std::move(targets)), clock_(clock), out_(out) {
    waiting_.resize(targets_.size());
    for (std::uint32_t i = 0; i < jobs_.size(); ++i) waiting_[0].push_back({i, MonoTime::min()});
    left_ = jobs_.size() * targets_.size();
  }

  [[nodiscard]] bool done() const { return left_ == 0; }
  [[nodiscard]] bool all_good() const { return all_good_; }

  std::optional<Delivery> take(TargetId target) override {
    auto& line = waiting_[target.value()];
    if (!ready(target)) return std::nullopt;
    const std::uint32_t number = line.front().job;
    line.pop_front();
    Job& job = jobs_[number];
    Delivery delivery;
    delivery.id = {number, ++job.generation};
    delivery.target = target;
    delivery.host = job.host;
    delivery.path = job.path;
    delivery.set_marks(job.last);
    flying_.push_back({number, target});
    return delivery;
  }
  [[nodiscard]] bool ready(TargetId target) const override {
    const auto& line = waiting_[target.value()];
    return !line.empty() && line.front().not_before <= clock_.now();
  }

  void on_outcome(DeliveryId id, const Outcome& outcome) override {
    const auto found = std::find_if(flying_.begin(), flying_.end(),
                                    [id](const Flying& flying) { return flying.job == id.slot; });
    CHECK(found != flying_.end());
    const TargetId target = found->target;
    flying_.erase(found);
    Job& job = jobs_[id.slot];
    const bool again =
        outcome.result == AttemptResult::retry || outcome.result == AttemptResult::unanswered;
    if (again && ++job.tries < kTries) {
      job.last = outcome;
      waiting_[target.value()].push_front({id.slot, outcome.not_before});
      return;
    }
    const char* word = "failed";
    if (is_good(outcome.result))
      word = attempt_result_name(outcome.result);
    else if (outcome.result == AttemptResult::denied)
      word = "denied";
    else if (outcome.result == AttemptResult::refused)
      word = "refused";
    end(id.slot, target, word, outcome.status, is_good(outcome.result));
  }

  // Nothing answers there: what waits for it has failed. Whether something did: the next target
  // then has work that no event announces.
  bool give_up(TargetId target) {
    auto& line = waiting_[target.value()];
    const std::deque<Waiting> failed = std::exchange(line, {});
    for (const Waiting& waiting : failed) end(waiting.job, target, "failed", 0, false);
    return !failed.empty();
  }
  [[nodiscard]] MonoTime next_due() const {
    MonoTime due = MonoTime::max();
    for (const auto& line : waiting_) {
      if (!line.empty() && line.front().not_before > clock_.now()) {
        due = std::min(due, line.front().not_before);
      }
    }
    return due;
  }

 private:
  struct Waiting {
    std::uint32_t job;
    MonoTime not_before;
  };
  struct Flying {
    std::uint32_t job;
    TargetId target;
  };

  void end(std::uint32_t number, TargetId target, const char* word, int status, bool good) {
    Job& job = jobs_[number];
    out_ << word << ' ' << status << ' ' << targets_[target.value()].text << ' ' << job.url << '\n';
    all_good_ = all_good_ && good;
    job.tries = 0;
    job.last = Outcome{};
    CHECK(left_ > 0);
    --left_;
    const std::size_t next = target.value() + 1U;
    if (next < targets_.size()) waiting_[next].push_back({number, MonoTime::min()});
  }

  std::vector<Job> jobs_;
  std::vector<Endpoint> targets_;
  Clock& clock_;
  std::ostream& out_;
  std::vector<std::deque<Waiting>> waiting_;
  std::vector<Flying> flying_;
  std::size_t left_{0};
  bool all_good_{true};
};

// The URLs of the command line and of the list; every bad one is told.
std::optional<std::vector<Job>> read_jobs(const cli::CommandOptions& options, std::ostream& err) {
  std::vector<std::string> urls = options.urls;
  if (!options.list_file.empty()) {
    std::ifstream file;
    if (options.list_file != "-") file.open(options.list_file);
    std::istream& in = options.list_file == "-" ? std::cin : file;
    if (!in) {
      err << "purgeline: cannot read " << options.list_file << '\n';
      return std::nullopt;
    }
    for (std::string line; std::getline(in, line);) {
      if (!line.empty()) urls.push_back(line);
    }
  }
  std::vector<Job> jobs;
  UrlSplitter splitter;
  bool good = true;
  for (const std::string& text : urls) {
    Url url;
    if (const auto reason = splitter.split(text, url)) {
      err << "purgeline: " << text << ": " << reject_reason_name(*reason)
          << "; a URL begins with http:// or https:// and has no spaces\n";
      good = false;
      continue;
    }
    Job job;
    job.url = text;
    job.host = url.host;
    job.path = url.target;
    jobs.push_back(std::move(job));
  }
  if (good && jobs.empty()) {
    err << "purgeline: no URL to purge; give some, or a list with --file\n";
    good = false;
  }
  if (!good) return std::nullopt;
  return jobs;
}

std::optional<std::vector<Endpoint>> read_targets(const cli::CommandOptions& options,
                                                  std::ostream& err) {
  std::vector<Endpoint> targets;
  for (const std::string& text : options.targets) {
    auto endpoint = config::parse_endpoint(text);
    if (!endpoint) {
      err << "purgeline: --target " << text << ": " << endpoint.error().message
          << "; allowed: " << endpoint.error().allowed << '\n';
      return std::nullopt;
    }
    targets.push_back(*endpoint);
  }
  if (targets.empty() || targets.size() > kMaxTargets) {
    err << "purgeline: give 1 to " << kMaxTargets << " caches with --target\n";
    return std::nullopt;
  }
  return targets;
}

std::vector<TargetSpec> specs_of(const std::vector<Endpoint>& targets) {
  std::vector<TargetSpec> specs;
  for (const Endpoint& endpoint : targets) {
    TargetSpec spec;
    spec.id = TargetId{static_cast<std::uint16_t>(specs.size())};
    spec.layer = LayerId{static_cast<std::uint8_t>(specs.size())};
    spec.endpoint = endpoint;
    spec.connections = 2;
    specs.push_back(spec);
  }
  return specs;
}

IoKind io_kind(const std::string& word) {
  if (word == "uring") return IoKind::uring;
  return word == "epoll" ? IoKind::epoll : IoKind::automatic;
}

}  // namespace

ExitStatus purge_now(const cli::CommandOptions& options, std::ostream& out, std::ostream& err) {
  auto jobs = read_jobs(options, err);
  const auto targets = read_targets(options, err);
  if (!jobs || !targets) return ExitStatus::usage;
  SystemClock clock;
  SystemRandom random;
  auto made = make_transport(io_kind(options.io), 8 * targets->size(), clock);
  if (!made) {
    err << "purgeline: " << made.error().detail << '\n';
    return ExitStatus::failed;
  }
  ThreadResolver resolver(made->transport->wake_fd(), clock);
  PurgeRun run(std::move(*jobs), *targets, clock, out);
  const std::vector<TargetSpec> specs = specs_of(*targets);
  Dispatcher dispatcher(DispatchOptions{}, specs, *made->transport, resolver, clock, random, run,
                        run);
  while (!run.done()) {
    clock.refresh();
    dispatcher.turn();
    MonoTime until = std::min(dispatcher.next_due(), run.next_due());
    for (const TargetSpec& spec : specs) {
      const bool down = dispatcher.state(spec.id) == TargetState::down;
      if (down && run.give_up(spec.id)) until = clock.now();
    }
    if (run.done()) break;
    made->transport->turn(until, std::chrono::microseconds(0));
  }
  for (const TargetSpec& spec : specs) {
    if (!dispatcher.unproven(spec.id)) continue;
    err << "purgeline: " << spec.endpoint.text
        << ": nothing shows that a cache gave these answers; a Varnish without conf/purge.vcl "
           "passes "
           "PURGE on to the origin, which purges nothing\n";
  }
  dispatcher.drain(clock.now());
  while (!dispatcher.idle()) {
    clock.refresh();
    dispatcher.turn();
    if (!dispatcher.idle()) {
      made->transport->turn(clock.now() + std::chrono::seconds(1), std::chrono::microseconds(0));
    }
  }
  return run.all_good() ? ExitStatus::done : ExitStatus::failed;
}

}  // namespace purgeline
