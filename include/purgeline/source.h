// Source: reads a log. Kafka, later the journal, and the simulator implement it.
//
// A source holds no policy: where to start, what to do about a gap, and how much to read are the
// caller's. Nothing here blocks; answers to questions arrive through SourceListener, inside poll().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

// One reading of a range of one partition.
using CursorId = Strong<struct CursorTag, std::uint32_t>;

enum class Priority : std::uint8_t { live, catch_up };

struct Range {
  Offset from;
  std::optional<Offset> to;  // exclusive; empty: follows the end of the log
};

// What the log holds of a partition, as last heard.
struct LogEnds {
  Offset low;   // first offset that still exists
  Offset high;  // one past the last
};

class SourceListener {
 public:
  virtual ~SourceListener() = default;
  // A partition was found: at start, or later while running. Once for each PartitionId.
  virtual void on_partition(PartitionId partition, const PartitionName& name) = 0;
  // A configured topic does not exist, or the log does not say what is in it. Again only after it
  // was there.
  virtual void on_topic_missing(const std::string& topic) = 0;
  // A topic that was told missing is there. Before the on_partition of what is new in it; one that
  // was deleted and made again has the partitions it had, and no on_partition.
  virtual void on_topic_found(const std::string& topic) = 0;
  // Answer to find(): the first offset whose timestamp is at or after the time; the log's end when
  // none.
  virtual void on_found(PartitionId partition, std::uint64_t question, Result<Offset> offset) = 0;
  // Answer to ask_ends().
  virtual void on_ends(PartitionId partition, std::uint64_t question, Result<LogEnds> ends) = 0;
  // The cursor's offset is not in the log any more (retention, a recreated topic). The cursor
  // stands still until reposition() or close().
  virtual void on_out_of_range(CursorId cursor, Offset wanted) = 0;
  // The log could not be reached, or can be again. Told once per change, with the library's words.
  virtual void on_log_state(bool reachable, const std::string& why) = 0;
  // The log's identity (Kafka: cluster id) is known, or has changed.
  virtual void on_cluster(const std::string& cluster_id) = 0;
};

// Thread: the shard's. Helper threads of an implementation never call the listener.
class Source {
 public:
  virtual ~Source() = default;
  virtual void start(SourceListener& listener) = 0;
  // Runs the listener's callbacks that are due.
  virtual void poll() = 0;

  // The log said that its topic did not exist, or was smaller, before it appeared: without a
  // position it is read from its first offset, so that nothing of a new topic is missed.
  [[nodiscard]] virtual bool partition_is_new(PartitionId partition) const = 0;

  // These topics from now on. Whoever owns the cursors has closed those of topics that are gone;
  // their partitions keep their numbers, and are not told again when the topic comes back. A source
  // whose topics are not configured has nothing to do.
  virtual void change_topics(const std::vector<std::string>& /*topics*/) {}

  // `targets`: bit per TargetId that this reading is for; kept with the cursor for its owner.
  virtual CursorId open(PartitionId partition, Range range, std::uint32_t targets,
                        Priority priority) = 0;
  virtual void reposition(CursorId cursor, Offset from) = 0;
  virtual void close(CursorId cursor) = 0;

  // Hands at most `credit` records of the cursor to the sink, in offset order; returns how many.
  // Not reading is the back-pressure. Zero does not mean the end of the log.
  virtual std::size_t read(CursorId cursor, std::size_t credit, RecordSink& sink) = 0;
  // The next offset that read() would deliver, as far as is known.
  [[nodiscard]] virtual Offset position(CursorId cursor) const = 0;

  // The log's ends as last heard with the data, without asking; empty before the first fetch.
  [[nodiscard]] virtual std::optional<LogEnds> ends(PartitionId partition) const = 0;
  virtual void ask_ends(PartitionId partition, std::uint64_t question) = 0;
  virtual void find(PartitionId partition, WallTime time, std::uint64_t question) = 0;

  // Ends all reading; later calls other than the destructor are our bug.
  virtual void stop() = 0;
};

}  // namespace purgeline
