// What must survive: positions and dead letters. Both are asked and answered without blocking.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

// Everything of the partition below `offset` is finished. An offset alone means nothing on another
// cluster or after it expired, so the time of the last finished event and the cluster go with it.
struct Position {
  Offset offset;
  std::optional<WallTime>
      event_time;       // log timestamp or arrival of the last finished event, the earlier
  std::string cluster;  // Kafka's cluster id; "" when not known
};

struct Commit {
  PartitionId partition;
  PartitionName name;
  Position position;
};

class OffsetStoreListener {
 public:
  virtual ~OffsetStoreListener() = default;
  // Answer to load(). An error: the store could not be asked; the caller asks again.
  virtual void on_loaded(PartitionId partition, Result<std::optional<Position>> position) = 0;
  // Answer to commit(), for each partition in it.
  virtual void on_committed(PartitionId partition, Offset offset, Status status) = 0;
};

// Thread: the shard's. Answers arrive inside poll().
class OffsetStore {
 public:
  virtual ~OffsetStore() = default;
  virtual void start(OffsetStoreListener& listener) = 0;
  virtual void load(PartitionId partition, const PartitionName& name) = 0;
  virtual void commit(std::span<const Commit> commits) = 0;
  virtual void poll() = 0;
};

// A delivery that will not be tried again, kept with all that a person needs to judge it.
struct DeadLetter {
  std::uint64_t id{0};  // given by the store
  WallTime at{};
  std::string target;  // the target's address as configured
  std::string layer;
  std::string host;
  std::string path;
  std::string reason;  // attempt_result_name of the last attempt
  int status{0};
  std::uint32_t attempts{0};
  PartitionName partition;  // of the first event that waited for it
  Offset offset;
  std::string event_id;
};

class DeadLetterListener {
 public:
  virtual ~DeadLetterListener() = default;
  // The dead letter given with `ticket` is on disk. Only then may its events be finished.
  virtual void on_dead_letter_kept(std::uint64_t ticket) = 0;
  // It could not be written (full disk, ...). The store tries again by itself; told once per
  // change.
  virtual void on_dead_letter_trouble(const std::string& why) = 0;
};

// Thread: the shard's. Bound: `put` answers false when the store's mailbox is full: try again
// later.
class DeadLetters {
 public:
  virtual ~DeadLetters() = default;
  virtual void start(DeadLetterListener& listener) = 0;
  [[nodiscard]] virtual bool put(std::uint64_t ticket, const DeadLetter& letter) = 0;
  virtual void poll() = 0;
};

}  // namespace purgeline
