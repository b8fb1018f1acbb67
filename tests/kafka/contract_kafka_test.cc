// The contract of Source and OffsetStore on a real Apache Kafka.
#include <map>
#include <memory>
#include <utility>

#include "kafka/contract.h"
#include "kafka/kafka_admin.h"
#include "kafka/kafka_program.h"
#include "kafka/real_broker.h"

namespace purgeline::contract {
namespace {

// One broker for the whole program: tests differ by the names of their topics and groups.
std::unique_ptr<RealBroker> broker;

class Broker final : public ::testing::Environment {
 public:
  void SetUp() override { broker = std::make_unique<RealBroker>(); }
  void TearDown() override { broker.reset(); }
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new Broker);  // gtest owns it

}  // namespace

class KafkaWorld final : public World {
 public:
  KafkaWorld() : admin_(std::make_unique<KafkaAdmin>(broker->address())), group_(unique("group")) {}

  std::string unique(const std::string& word) override {
    static int number = 0;
    return word + "-" + std::to_string(++number);
  }
  void create_topic(const std::string& topic, std::int32_t partitions) override {
    admin_->create_topic(topic, partitions);
  }
  void add_partitions(const std::string& topic, std::int32_t total) override {
    admin_->add_partitions(topic, total);
  }
  void append(const std::string& topic, std::int32_t partition, std::int32_t count) override {
    std::int64_t& next = appended_[{topic, partition}];
    admin_->append(topic, partition, next, count, kFirstTime);
    next += count;
  }
  void trim(const std::string& topic, std::int32_t partition, Offset low) override {
    admin_->delete_below(topic, partition, low);
  }
  void freeze() override { broker->freeze(); }
  void thaw() override { broker->thaw(); }
  void stop_log() override { broker->kill(); }
  void start_log() override { broker->start(); }

  void start(const std::vector<std::string>& topics) override {
    program_.reset();
    heard = Heard();
    KafkaOptions options;
    // Half of the list is wrong: nothing answers at the discard port.
    options.brokers = {"127.0.0.1:9", broker->address()};
    options.topics = topics;
    options.group = group_;
    options.metadata_interval = std::chrono::milliseconds(500);
    options.ask_timeout = std::chrono::seconds(2);
    // A move waits for the fetch that is under way, which waits for this long at the end of the
    // log.
    options.properties = {{"fetch.wait.max.ms", "50"}};
    program_ = std::make_unique<KafkaProgram>(std::move(options), heard);
  }
  Source& source() override { return program_->connection->source(); }
  OffsetStore& store() override { return program_->connection->offsets(); }
  bool partition_is_new(PartitionId partition) override {
    return program_->connection->source().partition_is_new(partition);
  }
  void turn() override { program_->turn(); }

 private:
  std::unique_ptr<KafkaAdmin> admin_;
  std::string group_;
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> appended_;
  std::unique_ptr<KafkaProgram> program_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(RealKafka, SourceContract, KafkaWorld);

}  // namespace purgeline::contract
