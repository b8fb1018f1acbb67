// KafkaSource: reads topics of a Kafka cluster.
//
// Three habits come from trying librdkafka 2.0.2, the version that ships:
// - Every partition has its own queue, and back-pressure is not reading it. Pausing throws the
// prefetch
//   away and costs most of the throughput.
// - Moving is unassign and assign. A seek can report success and stay silent.
// - What may wait for a broker runs on KafkaHelper. What is called here never does.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/source.h"
#include "sources/kafka_client.h"
#include "sources/kafka_helper.h"
#include "sources/kafka_options.h"
#include "sources/kafka_topics.h"
#include "sources/kafka_trouble.h"

namespace purgeline {

// Place: the first stage. Thread: the shard's.
// Bound: librdkafka holds 2 to 16 MiB for each partition of each reader; readers are kMaxReaders at
// most; questions are bounded by the helper's mailbox (a full one answers "unavailable" in the next
// poll()).
//
// A client can read a partition once. A second cursor on the same partition therefore gets a
// reader, a client of its own; the first reader serves all live cursors. The control client asks
// and commits only.
class KafkaSource final : public Source {
 public:
  // Cursors that may read one partition at the same time: live, catch-up, and replays.
  static constexpr std::size_t kMaxReaders = 8;

  // `control` and `helper` are KafkaConnection's and outlive the source.
  KafkaSource(KafkaOptions options, KafkaSettings settings, KafkaClient& control,
              KafkaHelper& helper, int wake_fd, Clock& clock);
  KafkaSource(const KafkaSource&) = delete;
  KafkaSource& operator=(const KafkaSource&) = delete;
  ~KafkaSource() override;

  void start(SourceListener& listener) override;
  void poll() override;
  void change_topics(const std::vector<std::string>& topics) override;
  CursorId open(PartitionId partition, Range range, std::uint32_t targets,
                Priority priority) override;
  void reposition(CursorId cursor, Offset from) override;
  void close(CursorId cursor) override;
  std::size_t read(CursorId cursor, std::size_t credit, RecordSink& sink) override;
  [[nodiscard]] Offset position(CursorId cursor) const override;
  [[nodiscard]] std::optional<LogEnds> ends(PartitionId partition) const override;
  void ask_ends(PartitionId partition, std::uint64_t question) override;
  void find(PartitionId partition, WallTime time, std::uint64_t question) override;
  void stop() override;

  // It appeared while running: with no position it is read from its first offset, whatever
  // `start_at` says.
  [[nodiscard]] bool partition_is_new(PartitionId partition) const override {
    return topics_.is_new(partition);
  }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  struct Reader;
  struct Cursor;
  class Reading;
  class Events;

  [[nodiscard]] Cursor& cursor_of(CursorId cursor);
  [[nodiscard]] Reader* reader_for(PartitionId partition);
  void attach(Cursor& cursor);
  void detach(Cursor& cursor);
  void assign_again(Cursor& cursor);
  void retry_detached();
  void retire_idle();

  void ask_metadata();
  void on_metadata(const Result<KafkaMetadata>& metadata);
  void tell_state(bool reachable, const std::string& why);
  void tell_out_of_range();
  void log(int level, std::string line) const;

  void starved(Cursor& cursor);
  void probe(Cursor& cursor);

  const KafkaOptions options_;
  const KafkaSettings settings_;
  KafkaClient& control_;
  KafkaHelper& helper_;
  const int wake_fd_;
  Clock& clock_;
  KafkaTopics topics_;
  KafkaQueue control_events_;
  SourceListener* listener_{nullptr};
  bool stopped_{false};

  std::vector<std::unique_ptr<Reader>> readers_;
  std::unordered_map<CursorId, std::unique_ptr<Cursor>> cursors_;
  std::uint32_t next_cursor_{0};
  std::vector<CursorId> out_of_range_;  // told in the next poll(); one entry per cursor at most
  MonoTime retry_at_{};

  // What happens in the next poll() because the helper was full.
  std::vector<std::function<void()>> refused_;
  std::vector<std::optional<Offset>> low_;  // by PartitionId: the first offset as last asked for

  std::string cluster_;
  std::optional<bool> reachable_;  // as last told
  KafkaTrouble trouble_;           // since the last good answer
  bool asking_metadata_{false};
  std::uint32_t metadata_failures_{0};
  MonoTime metadata_at_{};
  std::uint64_t arrived_{0};            // records read in all
  std::uint64_t arrived_at_asking_{0};  // and when metadata was last asked for
  bool probing_{false};

  std::array<rd_kafka_message_s*, 1024> batch_{};
};

}  // namespace purgeline
