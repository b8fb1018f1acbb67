// What the tests of the journal share: one that is open, and appending that waits for its answer.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/journal.h"
#include "store/journal_reader.h"
#include "unit/store_support.h"

namespace purgeline::store_test {

inline JournalOptions quick_options() {
  JournalOptions options;
  options.retry = std::chrono::milliseconds(5);
  options.upkeep = std::chrono::milliseconds(5);
  options.database.busy_timeout = std::chrono::milliseconds(50);
  return options;
}

class OpenJournal {
 public:
  explicit OpenJournal(const std::string& path, const JournalOptions& options = quick_options()) {
    auto opened = Journal::open(path, clock_, options);
    if (!opened) throw std::runtime_error(opened.error().detail);
    journal_ = std::move(*opened);
    journal_->start();
  }
  [[nodiscard]] Journal& operator*() { return *journal_; }
  [[nodiscard]] Journal* operator->() { return journal_.get(); }
  [[nodiscard]] WallTime now() const { return clock_.wall(); }

  // Refused at once: Errc::refused.
  Result<std::vector<Offset>> append(std::vector<Append> batch) {
    std::promise<Result<std::vector<Offset>>> answer;
    const bool taken = journal_->append(
        std::move(batch), [&](Result<std::vector<Offset>> given) { answer.set_value(given); });
    if (!taken) return failure(Errc::refused, journal_->trouble());
    return answer.get_future().get();
  }
  Result<std::vector<Offset>> append(std::size_t count, const Append& event) {
    return append(std::vector<Append>(count, event));
  }
  // Everything of the topic below `offset` is finished.
  Status finish(const std::string& topic, std::int64_t offset) {
    const Commit commit{PartitionId(0), {topic, 0}, {Offset(offset), std::nullopt, journal_->id()}};
    std::promise<Status> answer;
    EXPECT_TRUE(
        journal_->commit("purge", commit, [&](Status status) { answer.set_value(status); }));
    return answer.get_future().get();
  }
  JournalTopic topic(const std::string& name) {
    std::vector<JournalTopic> topics;
    journal_->topics(topics);
    for (const JournalTopic& topic : topics) {
      if (topic.name == name) return topic;
    }
    return {};
  }
  // A failing test ends with its time-out.
  template <class Condition>
  void until(Condition condition) {
    while (!condition()) std::this_thread::yield();
  }

 private:
  HostClock clock_;
  std::unique_ptr<Journal> journal_;
};

// All values of a topic, with their offsets, as a reader finds them.
inline std::vector<std::pair<Offset, std::string>> read_topic(const std::string& path,
                                                              const std::string& topic,
                                                              Offset from) {
  std::vector<std::pair<Offset, std::string>> all;
  JournalReader reader(path, -1);
  bool more = true;
  while (more) {
    EXPECT_TRUE(reader.ask(JournalReader::ReadPage{topic, from}, [&](auto answer) {
      more = answer.has_value() && std::holds_alternative<JournalPage>(*answer);
      if (!more) return;
      const JournalPage& page = std::get<JournalPage>(*answer);
      for (std::size_t row = 0; row < page.rows.size(); ++row, from = from.next()) {
        all.emplace_back(from, page.value(row));
      }
      more = !page.rows.empty();
    }));
    reader.wait();
  }
  return all;
}

}  // namespace purgeline::store_test
