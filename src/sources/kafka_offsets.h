// KafkaOffsetStore: positions in Kafka's own commit store, under the group's name, without joining
// it.
//
// An offset alone means nothing on another cluster, so each commit carries, as its metadata, the
// log time of the last finished event and the cluster: "v1 <milliseconds or -> <cluster id or ->".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/stores.h"
#include "sources/kafka_client.h"
#include "sources/kafka_helper.h"
#include "sources/kafka_options.h"

namespace purgeline {

[[nodiscard]] std::string commit_metadata(const Position& position);
// Metadata of another writer, or none, gives a position with neither time nor cluster.
[[nodiscard]] Position parse_commit_metadata(Offset offset, std::string_view metadata);

// Place: behind the committer. Thread: the shard's.
// Bound: kMaxInFlight requests; a further one is refused ("unavailable") in the next poll().
// A broker may forget an offset seven days after its last commit: the committer repeats it.
class KafkaOffsetStore final : public OffsetStore {
 public:
  static constexpr std::size_t kMaxInFlight = 4;

  KafkaOffsetStore(KafkaClient& control, KafkaHelper& helper, int wake_fd, Duration ask_timeout);
  KafkaOffsetStore(const KafkaOffsetStore&) = delete;
  KafkaOffsetStore& operator=(const KafkaOffsetStore&) = delete;

  void start(OffsetStoreListener& listener) override;
  void load(PartitionId partition, const PartitionName& name) override;
  void commit(std::span<const Commit> commits) override;
  void poll() override;
  // Gives the queue back; no call after that but the destructor.
  void stop();

 private:
  struct Request {
    std::vector<PartitionId> partitions;
    std::vector<KafkaStored> stored;
  };

  void send(Request request);
  void finish(const Request& request, const KafkaCommitAnswer& answer);

  KafkaClient& control_;
  KafkaHelper& helper_;
  const Duration ask_timeout_;
  KafkaQueue answers_;
  OffsetStoreListener* listener_{nullptr};
  std::map<std::uint64_t, Request> in_flight_;  // by serial
  std::uint64_t next_serial_{1};
  std::vector<std::function<void()>> refused_;  // told in the next poll()
};

}  // namespace purgeline
