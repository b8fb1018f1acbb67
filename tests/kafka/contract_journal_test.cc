// The contract of Source and OffsetStore on the journal.
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "kafka/contract.h"
#include "kafka/test_clock.h"
#include "store/journal_source.h"
#include "unit/store_support.h"
#include "unit/store_vfs.h"

namespace purgeline::contract {

// One journal stays open for the whole test, as a broker does; the program is who reads it. Its
// disk hangs (frozen) or refuses (the log is down).
class JournalWorld final : public World {
 public:
  JournalWorld() {
    JournalOptions options;
    options.retry = std::chrono::milliseconds(20);
    options.upkeep = std::chrono::milliseconds(50);
    auto opened = Journal::open(folder_.path("journal.db"), writer_clock_, options);
    if (!opened) throw std::runtime_error(opened.error().detail);
    journal_ = std::move(*opened);
    journal_->start();
  }
  ~JournalWorld() override {
    disk_.thaw();
    disk_.refuse(false);
    program_.reset();
    journal_.reset();
  }

  std::string unique(const std::string& word) override { return word; }
  bool has_partitions() const override { return false; }
  // A topic comes into being with its first event; one that has none yet is emptied again.
  void create_topic(const std::string& /*topic*/, std::int32_t /*partitions*/) override {}
  void add_partitions(const std::string& /*topic*/, std::int32_t /*total*/) override {}
  void append(const std::string& topic, std::int32_t /*partition*/, std::int32_t count) override {
    std::int64_t& next = appended_[topic];
    for (std::int32_t left = count; left > 0; left -= 1000) {
      std::vector<Append> batch;
      for (std::int32_t i = 0; i < std::min(left, 1000); ++i, ++next) {
        batch.push_back({topic, "", std::to_string(next), kFirstTime + std::chrono::seconds(next)});
      }
      // Refused until the journal has found out that its disk works again.
      while (!append_all(batch)) {
      }
    }
  }
  void trim(const std::string& topic, std::int32_t /*partition*/, Offset low) override {
    std::promise<Status> done;
    EXPECT_TRUE(journal_->trim(topic, low, [&done](Status status) { done.set_value(status); }));
    EXPECT_TRUE(done.get_future().get().has_value());
  }
  void freeze() override { disk_.freeze(); }
  void thaw() override { disk_.thaw(); }
  void stop_log() override { disk_.refuse(true); }
  void start_log() override { disk_.refuse(false); }

  void start(const std::vector<std::string>& topics) override {
    program_.reset();
    heard = Heard();
    JournalSourceOptions options;
    options.topics = topics;
    options.ask_timeout = std::chrono::seconds(2);
    options.retry = std::chrono::milliseconds(50);
    options.look_every = std::chrono::milliseconds(200);
    program_ = std::make_unique<JournalConnection>(*journal_, options, wake_.fd(), clock_);
    program_->source().start(heard);
    program_->offsets().start(heard);
  }
  Source& source() override { return program_->source(); }
  OffsetStore& store() override { return program_->offsets(); }
  bool partition_is_new(PartitionId partition) override {
    return program_->source().partition_is_new(partition);
  }
  void turn() override {
    pollfd waiting{wake_.fd(), POLLIN, 0};
    if (::poll(&waiting, 1, 10) > 0) static_cast<void>(wake_.wait());
    clock_.refresh();
    program_->source().poll();
    program_->offsets().poll();
  }

 private:
  bool append_all(const std::vector<Append>& batch) {
    std::promise<bool> done;
    const bool taken = journal_->append(batch, [&done](Result<std::vector<Offset>> offsets) {
      done.set_value(offsets.has_value());
    });
    return taken && done.get_future().get();
  }

  store_test::TestDisk disk_;
  store_test::Folder folder_;
  store_test::Wake wake_;
  TestClock clock_;
  store_test::HostClock writer_clock_;
  std::unique_ptr<Journal> journal_;
  std::map<std::string, std::int64_t> appended_;
  std::unique_ptr<JournalConnection> program_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Journal, SourceContract, JournalWorld);

}  // namespace purgeline::contract
