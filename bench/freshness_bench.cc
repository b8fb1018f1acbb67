// Edits, readers and a slow, lagging origin around two real caches: how long readers get old pages.
// bench/freshness.py starts the caches, runs this once for each way to purge, and compares.
//
// Usage: freshness_bench NAME=VALUE..., the names being those of Options. Prints `name value`
// lines, then for each time to fresh, in steps, how many edits had it.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "freshness_http.h"
#include "freshness_loop.h"
#include "freshness_purgers.h"
#include "freshness_world.h"
#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

constexpr std::string_view kHost = "en.example.org";
constexpr std::size_t kReaders = 1000;
constexpr Micros kStep = milliseconds(5);

// When somebody reads a page after an edit, a tenth earlier or later. The last ones find copies
// that have come to stay.
constexpr int kReadsAfter[] = {10, 30, 80, 160, 300, 500, 750, 1050, 1400, 1800, 2600, 4000};

class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view argument = argv[i];
      const std::size_t equals = argument.find('=');
      CHECK(equals != std::string_view::npos);
      values_[std::string(argument.substr(0, equals))] = argument.substr(equals + 1);
    }
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : found->second;
  }
  [[nodiscard]] long number(const std::string& name) const {
    const std::string value = text(name);
    if (value.empty()) {
      std::fprintf(stderr, "freshness_bench: %s is missing\n", name.c_str());
      std::exit(2);
    }
    return std::atol(value.c_str());
  }
  [[nodiscard]] Micros time(const std::string& name) const { return milliseconds(number(name)); }

 private:
  std::map<std::string, std::string> values_;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : world_(static_cast<std::uint32_t>(options.number("pages")), options.time("bound_ms")),
        delays_(options.time("lag_ms"), options.time("fetch_ms"), kSeed),
        origin_(loop_, options.text("origin"), world_, delays_),
        readers_(loop_, options.text("frontend"), kReaders),
        rate_(static_cast<double>(options.number("edits_per_second"))),
        random_reads_(static_cast<double>(options.number("random_reads_per_second"))),
        again_(options.time("fetch_ms")),
        edits_wanted_(static_cast<std::uint64_t>(options.number("edits"))) {
    if (options.text("intake").empty()) {
      purger_ = std::make_unique<Relay>(loop_, options.text("backend"), options.text("frontend"),
                                        options.time("delay_ms"));
    } else {
      purger_ = std::make_unique<Poster>(loop_, options.text("intake"));
    }
  }

  int run() {
    const Moment begun = now();
    edit_next(begun);
    read_next(begun);
    while (world_.counts().edits < edits_wanted_) loop_.run_until(now() + milliseconds(100));
    const std::chrono::duration<double> lasted = now() - begun;
    loop_.run_until(now() + milliseconds(kReadsAfter[std::size(kReadsAfter) - 1]) * 12 / 10);
    report(lasted.count());
    return 0;
  }

 private:
  static constexpr std::uint64_t kSeed = 42;

  [[nodiscard]] Micros wait(double per_second) {
    return Micros(
        static_cast<long>(1e6 * std::exponential_distribution<double>(per_second)(random_)));
  }

  [[nodiscard]] std::uint32_t some_page() {
    return std::uniform_int_distribution<std::uint32_t>(0, world_.pages() - 1)(random_);
  }

  // Open loop: the next edit comes when it is due, however long this one takes. Every fifth is
  // followed by another one of its page, as somebody mends what he has just saved.
  void edit_next(Moment due) {
    if (world_.counts().edits >= edits_wanted_) return;
    const std::uint32_t page = some_page();
    edit(page);
    if (std::uniform_int_distribution<int>(0, 4)(random_) == 0) {
      const auto later = std::uniform_int_distribution<long>(0, again_.count())(random_);
      loop_.at(now() + Micros(later), [this, page] { edit(page); });
    }
    const Moment next = due + wait(rate_ / 1.2);
    loop_.at(next, [this, next] { edit_next(next); });
  }

  void edit(std::uint32_t page) {
    world_.edit(page, now(), delays_.lag());
    purger_->purge(page);
    for (const int after : kReadsAfter) {
      const double part = std::uniform_real_distribution<double>(0.9, 1.1)(random_);
      const Micros when(static_cast<long>(1000 * after * part));
      loop_.at(now() + when, [this, page] { read(page); });
    }
  }

  void read_next(Moment due) {
    if (world_.counts().edits >= edits_wanted_) return;
    read(some_page());
    const Moment next = due + wait(random_reads_);
    loop_.at(next, [this, next] { read_next(next); });
  }

  void read(std::uint32_t page) {
    ++asked_reads_;
    readers_.send(
        "GET " + page_path(page) + " HTTP/1.1\r\nHost: " + std::string(kHost) + "\r\n\r\n",
        [this, page, asked = now()](const HttpAnswer& answer) {
          constexpr std::string_view kVersion = "version ";
          std::uint32_t version = 0;
          if (answer.status != 200 || answer.body.rfind(kVersion, 0) != 0) {
            return world_.failed_read();
          }
          std::from_chars(answer.body.data() + kVersion.size(),
                          answer.body.data() + answer.body.size(), version);
          world_.read(page, version, asked);
        });
  }

  void report(double seconds) {
    const FreshnessCounts& counts = world_.counts();
    const auto print = [](const char* name, auto value) {
      std::printf("%s %llu\n", name, static_cast<unsigned long long>(value));
    };
    std::printf("seconds %.1f\n", seconds);
    print("edits", counts.edits);
    print("asked_reads", asked_reads_);
    print("reads", counts.reads);
    print("failed_reads", counts.failed_reads);
    print("stale_reads", counts.stale_reads);
    print("late_reads", counts.late_reads);
    print("late_edits", counts.late_edits);
    print("fetches", counts.fetches);
    print("edits_in_fetch", counts.edits_in_fetch);
    print("old_fetches", counts.old_fetches);
    print("longest_fetch_ms", duration_cast<milliseconds>(counts.longest_fetch).count());
    print("purges", purger_->sent());
    print("failed_purges", purger_->failed());
    print("longest_purge_ms", duration_cast<milliseconds>(purger_->longest()).count());
    for (const auto& [step, edits] : world_.times_to_fresh(kStep)) {
      std::printf("fresh_after_ms %ld %llu\n", step * duration_cast<milliseconds>(kStep).count(),
                  static_cast<unsigned long long>(edits));
    }
  }

  Loop loop_;
  World world_;
  Delays delays_;
  Origin origin_;
  HttpPool readers_;
  std::unique_ptr<Purger> purger_;
  double rate_;
  double random_reads_;
  Micros again_;
  std::uint64_t edits_wanted_;
  std::uint64_t asked_reads_{0};
  std::mt19937_64 random_{kSeed};
};

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  const purgeline::bench::Options options(argc, argv);
  return purgeline::bench::Bench(options).run();
}
