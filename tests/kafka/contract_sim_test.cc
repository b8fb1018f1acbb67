// The contract of Source and OffsetStore on the simulated log.
#include "kafka/contract.h"
#include "sim/sim_source.h"

namespace purgeline::contract {

class SimWorld final : public World {
 public:
  std::string unique(const std::string& word) override { return word; }
  void create_topic(const std::string& topic, std::int32_t partitions) override {
    log_.create_topic(topic, partitions);
  }
  void add_partitions(const std::string& topic, std::int32_t total) override {
    log_.add_partitions(topic, total);
  }
  void append(const std::string& topic, std::int32_t partition, std::int32_t count) override {
    for (; count > 0; --count) {
      const std::int64_t number = log_.find({topic, partition})->high();
      log_.append(topic, partition, kFirstTime + std::chrono::seconds(number),
                  std::to_string(number));
    }
  }
  void trim(const std::string& topic, std::int32_t partition, Offset low) override {
    log_.trim(topic, partition, low);
  }
  void freeze() override { log_.set_frozen(true); }
  void thaw() override { log_.set_frozen(false); }
  void stop_log() override { log_.set_reachable(false); }
  void start_log() override { log_.set_reachable(true); }

  void start(const std::vector<std::string>& topics) override {
    heard = Heard();
    source_.emplace(log_, sim::SimSourceOptions{topics});
    store_.emplace(log_, "group");
    source_->start(heard);
    store_->start(heard);
  }
  Source& source() override { return *source_; }
  OffsetStore& store() override { return *store_; }
  bool partition_is_new(PartitionId partition) override {
    return source_->partition_is_new(partition);
  }
  void turn() override {
    source_->poll();
    store_->poll();
  }

 private:
  sim::SimLog log_;
  std::optional<sim::SimSource> source_;
  std::optional<sim::SimOffsetStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sim, SourceContract, SimWorld);

}  // namespace purgeline::contract
