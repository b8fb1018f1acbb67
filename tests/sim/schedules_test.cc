// The model of caches against the schedules, which real caches are held to as well (README.md
// there).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/sim_content.h"

namespace purgeline::sim {
namespace {

constexpr std::uint16_t kBackend = 1000;
constexpr std::uint16_t kFrontend = 2000;
const std::string kUrl = "h/p";

struct Step {
  std::size_t line{0};
  std::string verb, what, how;
};

std::vector<Step> read_schedule(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Step> steps;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    Step step;
    step.line = ++number;
    if (words >> step.verb) {
      words >> step.what >> step.how;
      steps.push_back(step);
    }
  }
  return steps;
}

// A page behind one backend and one frontend; nothing takes time but what is held.
class Schedule {
 public:
  explicit Schedule(std::vector<Step> steps) : steps_(std::move(steps)) {
    for (const Step& step : steps_) follows_ = follows_ || step.what == "read-while-writer";
    content_.set_layers({{kBackend}, {kFrontend}});
    content_.set_reader([this](const PageRead& read) { last_ = read; });
  }
  void run() {
    for (const Step& step : steps_) {
      now_ += std::chrono::milliseconds(1);
      content_.advance(now_);
      ASSERT_TRUE(does(step)) << "line " << step.line << ": no such step: " << step.verb;
      content_.advance(now_);
      if (step.verb == "expect") expect(step);
    }
  }

 private:
  bool does(const Step& step) {
    const std::uint16_t port = step.what == "frontend" ? kFrontend : kBackend;
    if (step.verb == "change") {
      const Duration lag = step.what == "unseen" ? Duration::max() : Duration(0);
      content_.change(kUrl, now_, {lag, lag});
    } else if (step.verb == "seen") {
      content_.show(kUrl);
    } else if (step.verb == "hold") {
      held_ = true;
    } else if (step.verb == "release") {
      held_ = false;
      content_.release();
    } else if (step.verb == "get" || step.verb == "ask" || step.verb == "expect") {
      content_.read(port, kUrl);
    } else if (step.verb == "refresh") {
      content_.refresh(port, kUrl);
    } else if (step.verb == "purge") {
      content_.purge(port, kUrl);
    } else if (step.verb == "expire") {
      content_.expire(kUrl);
    } else if (step.verb == "stored") {
      const std::vector<PageRead> copies = content_.copies();
      EXPECT_TRUE(std::any_of(copies.begin(), copies.end(),
                              [port](const PageRead& copy) { return copy.port == port; }))
          << "line " << step.line;
    } else {
      return step.verb == "only" || step.verb == "option";
    }
    return true;
  }
  void expect(const Step& step) const {
    ASSERT_TRUE(last_.has_value() && last_->at == now_) << "line " << step.line << ": no answer";
    EXPECT_EQ(last_->version == last_->latest ? "new" : "old", step.how) << "line " << step.line;
  }
  [[nodiscard]] SimContent::Draws draws() {
    SimContent::Draws draws;
    draws.fetch = [this] {
      return held_ ? FetchPlan{Duration(0), std::nullopt, 0}
                   : FetchPlan{Duration(0), Duration(0), 0};
    };
    draws.hop = draws.removal = [] {
      return Duration(0);
    };
    draws.pick = [](std::size_t) {
      return std::size_t{0};
    };
    draws.kind = [this] {
      CacheKind kind;
      kind.reads_writer = follows_;
      return kind;
    };
    return draws;
  }

  const std::vector<Step> steps_;
  bool follows_{false};
  bool held_{false};
  MonoTime now_{std::chrono::hours(1)};
  SimContent content_{draws()};
  std::optional<PageRead> last_;
};

TEST(Schedules, TheModelDoesWhatRealCachesDo) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PURGELINE_SCHEDULES)) {
    if (entry.path().extension() != ".txt") continue;
    ++files;
    SCOPED_TRACE(entry.path().filename().string());
    Schedule(read_schedule(entry.path())).run();
  }
  EXPECT_GE(files, 10u);
}

}  // namespace
}  // namespace purgeline::sim
