// JournalSource and JournalOffsets: the journal behind the seams Source and OffsetStore.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "store/journal.h"
#include "store/journal_damage.h"
#include "store/journal_reader.h"

namespace purgeline {

struct JournalSourceOptions {
  std::vector<std::string> topics;                // empty: all that the journal has
  Duration ask_timeout{std::chrono::seconds(5)};  // of a question that the disk does not answer
  Duration retry{std::chrono::seconds(1)};        // of reading that failed
  Duration look_every{std::chrono::seconds(10)};  // at a silent file, whether it can still be read
};

// Place:  the first stage. Thread: the shard's; the questions are answered by JournalReader.
// Bound:  two pages (JournalReader) for each cursor, kMaxQuestions of the caller's that are open.
//
// Each topic has one partition, 0.
class JournalSource final : public Source {
 public:
  static constexpr std::size_t kMaxQuestions = 512;

  // All outlive the source.
  JournalSource(Journal& journal, JournalReader& reader, JournalSourceOptions options, int wake_fd,
                Clock& clock);
  ~JournalSource() override;
  JournalSource(const JournalSource&) = delete;
  JournalSource& operator=(const JournalSource&) = delete;

  void start(SourceListener& listener) override;
  void poll() override;
  [[nodiscard]] bool partition_is_new(PartitionId partition) const override;
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

 private:
  struct Partition {
    std::string topic;
    bool is_new{false};
    bool fetched{false};
    LogEnds ends;
  };
  struct Cursor {
    Cursor(Journal& journal, CursorId id)
        : damage(journal, "cursor " + std::to_string(id.value())) {}

    PartitionId partition;
    Range range;
    Offset position;  // next to hand over
    Offset fetch;     // next to ask for
    std::deque<JournalPage> pages;
    std::size_t row{0};      // next of the first page
    std::uint64_t place{0};  // counts moves: answers for an earlier place are dropped
    bool asking{false};
    bool lost{false};       // out of range: stands still
    MonoTime not_before{};  // of the next try
    JournalDamage damage;   // of what it needs next
  };
  // A question of the caller's.
  struct Open {
    PartitionId partition;
    std::uint64_t question{0};
    bool is_find{false};
    MonoTime deadline{};
  };

  [[nodiscard]] Cursor& cursor_of(CursorId id);
  void fetch(CursorId id, Cursor& cursor);
  void on_page(CursorId id, std::uint64_t place, Result<JournalReader::Answer> answer);
  void ask(PartitionId partition, std::uint64_t question, bool is_find,
           JournalReader::Question what);
  void answer_find_or_ends(std::uint64_t serial, Result<JournalReader::Answer> answer);
  void tell(const Open& open, Result<JournalReader::Answer> answer);
  void expire();
  void look();
  void on_identity(Result<JournalReader::Answer> answer);
  void take_ends();
  void tell_state(bool reachable, const std::string& why);
  [[nodiscard]] bool wanted(const std::string& topic) const;

  Journal& journal_;
  JournalReader& reader_;
  const JournalSourceOptions options_;
  const int wake_fd_;
  Clock& clock_;
  SourceListener* listener_{nullptr};
  bool stopped_{false};

  std::vector<Partition> partitions_;  // by PartitionId
  std::unordered_map<CursorId, std::unique_ptr<Cursor>> cursors_;
  std::uint32_t next_cursor_{0};
  std::map<std::uint64_t, Open> open_;  // by serial, oldest first
  std::uint64_t next_serial_{0};
  std::vector<std::function<void()>> refused_;  // told in the next poll()

  std::uint64_t version_{0};  // of the journal's ends, as last taken
  std::vector<JournalTopic> latest_;
  bool answered_{false};  // the file could be read
  bool taken_{false};     // the topics were taken once: what comes later is new
  bool looking_{false};
  MonoTime look_at_{};
  MonoTime looking_since_{};
  std::string cluster_;
  std::optional<bool> reachable_;  // as last told
  JournalDamage damage_{journal_, "identity"};
};

// Place: behind the committer. Thread: the shard's.
// Bound: kMaxOpen loads and commits that are not answered.
class JournalOffsets final : public OffsetStore {
 public:
  static constexpr std::size_t kMaxOpen = 1024;
  // As for Kafka's metadata: nobody's id is longer.
  static constexpr std::size_t kMaxCluster = 4096;

  // `name`: whose positions these are. The journal is started; the end waits for its answers.
  JournalOffsets(Journal& journal, JournalReader& reader, std::string name, int wake_fd);
  JournalOffsets(const JournalOffsets&) = delete;
  JournalOffsets& operator=(const JournalOffsets&) = delete;
  ~JournalOffsets() override;

  void start(OffsetStoreListener& listener) override;
  void load(PartitionId partition, const PartitionName& name) override;
  void commit(std::span<const Commit> commits) override;
  void poll() override;

 private:
  struct Committed {
    PartitionId partition;
    Offset offset;
    Status status;
  };
  Journal& journal_;
  JournalReader& reader_;
  const std::string name_;
  const int wake_fd_;
  OffsetStoreListener* listener_{nullptr};
  std::size_t open_{0};  // commits that are not answered
  Queue<Committed> answers_;
  std::vector<Committed> telling_;
  std::vector<std::function<void()>> refused_;  // told in the next poll()
};

// Everything with which the shard reads the journal. poll() of the reader runs inside that of the
// source.
class JournalConnection {
 public:
  JournalConnection(Journal& journal, JournalSourceOptions options, int wake_fd, Clock& clock);

  [[nodiscard]] JournalSource& source() { return source_; }
  [[nodiscard]] JournalOffsets& offsets() { return offsets_; }

 private:
  JournalReader reader_;
  JournalSource source_;
  JournalOffsets offsets_;
};

}  // namespace purgeline
