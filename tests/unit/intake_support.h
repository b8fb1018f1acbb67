// A journal in memory, and a queue that stands in for the intake's thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "purgeline/journal.h"
#include "support/fake_clock.h"

namespace purgeline::test {

class FakeJournal : public JournalWriter {
 public:
  bool append(std::vector<Append> events, Done done) override {
    if (full) return false;
    waiting.emplace_back(std::move(events), std::move(done));
    if (at_once) write();
    return true;
  }
  [[nodiscard]] bool takes_topic(const std::string& topic) override {
    return topic != refused_topic;
  }
  [[nodiscard]] std::string trouble() const override { return words; }

  // Everything that waits is durable now, or failed.
  void write() {
    for (; !waiting.empty(); waiting.pop_front()) {
      auto& [events, done] = waiting.front();
      if (error) {
        done(tl::unexpected(*error));
        continue;
      }
      std::vector<Offset> offsets;
      for (Append& event : events) {
        offsets.emplace_back(static_cast<std::int64_t>(written.size()));
        written.push_back(std::move(event));
      }
      done(offsets);
    }
  }

  bool full{false};
  bool at_once{true};
  std::optional<Error> error;
  std::string words;
  std::string refused_topic;
  std::deque<std::pair<std::vector<Append>, Done>> waiting;
  std::vector<Append> written;
};

class Queue {
 public:
  auto post() {
    return [this](std::function<void()> what) {
      queue_.push_back(std::move(what));
    };
  }
  void run() {
    for (; !queue_.empty(); queue_.pop_front()) queue_.front()();
  }

 private:
  std::deque<std::function<void()>> queue_;
};

}  // namespace purgeline::test
