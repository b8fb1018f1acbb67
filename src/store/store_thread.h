// StoreThread: owns state.db on a thread of its own, behind the seams DeadLetters and OffsetStore.
//
// Place:  beside the shard, which asks through a queue and gets its answers in poll().
// Thread: open(), start() and stop() belong to the thread that builds the daemon; both seams to the
//         shard; everything below write_pass() to the writer thread, which alone touches the
//         database.
// Bound:  `letters` dead letters and `positions` loads and commits asked for and not yet answered.
// A dead
//         letter is a few hundred bytes, at most a URL of 8 KiB and some: 1024 of them at most 9
//         MiB.
//
// Group commit: whatever has been asked when the writer turns to the queue goes into one
// transaction, and nothing is answered before its commit is synced. A busy disk makes groups
// larger, not the queue longer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/result.h"
#include "purgeline/stores.h"
#include "store/database.h"
#include "store/queue.h"
#include "store/state_tables.h"

namespace purgeline {

struct StoreOptions {
  std::size_t letters{1024};
  std::size_t positions{4096};  // one load or commit per partition at a time is what the shard asks
  // A letter that could not be written is tried again after this: often enough that a disk with
  // space again costs no noticeable delay, rarely enough not to add to a disk's trouble.
  Duration retry{std::chrono::seconds(1)};
  DatabaseOptions database{};
};

class StoreThread {
 public:
  // Opens the file (created or migrated, schema.h) on the calling thread. `clock` is the writer
  // thread's own from start() on.
  [[nodiscard]] static Result<std::unique_ptr<StoreThread>> open(const std::string& path,
                                                                 Clock& clock,
                                                                 const StoreOptions& options = {});
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  // Starts writing. `wake_fd`: an eventfd to write to when poll() has something; it stays open
  // until stop() has returned. -1: nobody sleeps.
  void start(int wake_fd);
  // Writes what is queued, trying each thing once more, and ends the thread. What was written can
  // still be polled. An error says how many dead letters were not written: their events were not
  // finished either, and will be read again. The second call does nothing.
  Status stop();

  [[nodiscard]] DeadLetters& dead_letters() { return letters_; }
  [[nodiscard]] OffsetStore& positions() { return positions_; }
  // Dead letters given and not known to be on disk. Thread: the shard's.
  [[nodiscard]] std::size_t letters_waiting() const { return letters_.waiting(); }

 private:
  struct Letter {
    std::uint64_t ticket;
    DeadLetter letter;
  };
  struct Load {
    PartitionId partition;
    PartitionName name;
  };
  using Request = std::variant<Letter, Load, Commit>;

  struct Kept {
    std::uint64_t ticket;
  };
  struct Trouble {
    std::string why;
  };
  using LetterAnswer = std::variant<Kept, Trouble>;

  struct Loaded {
    PartitionId partition;
    Result<std::optional<Position>> position;
  };
  struct Committed {
    PartitionId partition;
    Offset offset;
    Status status;
  };
  using PositionAnswer = std::variant<Loaded, Committed>;

  // The shard's end for dead letters.
  class Letters final : public DeadLetters {
   public:
    Letters(StoreThread& store, std::size_t capacity) : store_(store), capacity_(capacity) {}
    void start(DeadLetterListener& listener) override;
    [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter& letter) override;
    void poll() override;
    [[nodiscard]] std::size_t waiting() const { return waiting_; }

   private:
    StoreThread& store_;
    const std::size_t capacity_;
    std::size_t waiting_{0};
    DeadLetterListener* listener_{nullptr};
    std::vector<LetterAnswer> answers_;  // being told
  };

  // The shard's end for positions. What finds the queue full is answered so in the next poll().
  class Positions final : public OffsetStore {
   public:
    Positions(StoreThread& store, std::size_t capacity) : store_(store), capacity_(capacity) {}
    void start(OffsetStoreListener& listener) override;
    void load(PartitionId partition, const PartitionName& name) override;
    void commit(std::span<const Commit> commits) override;
    void poll() override;

   private:
    [[nodiscard]] bool ask(Request request);
    void refuse(PositionAnswer answer);
    void tell(PositionAnswer& answer);

    StoreThread& store_;
    const std::size_t capacity_;
    std::size_t waiting_{0};
    OffsetStoreListener* listener_{nullptr};
    std::vector<PositionAnswer> refused_;  // at most `capacity`; see refuse()
    std::vector<PositionAnswer> answers_;  // being told
  };

  StoreThread(StateTables tables, Clock& clock, const StoreOptions& options);

  void run();
  [[nodiscard]] std::optional<Duration> patience() const;
  void take_apart();
  void write_pass(bool last);
  [[nodiscard]] Status write(const std::vector<Letter>& letters);
  void letters_kept();
  void letters_failed(const Error& error);
  void answer_commits(const Status& status);
  void answer_loads();
  void wake() const;

  // Shared. Credits on the shard's side keep requests_ and both answer queues within their
  // capacity.
  Queue<Request> requests_;
  Queue<LetterAnswer> letter_answers_;
  Queue<PositionAnswer> position_answers_;

  // The shard's.
  Letters letters_;
  Positions positions_;

  // The writer's.
  StateTables tables_;
  Clock& clock_;
  const StoreOptions options_;
  int wake_fd_{-1};
  std::vector<Request> batch_;
  std::vector<Letter> unwritten_;  // oldest first, at most options_.letters
  std::vector<Commit> commits_;
  std::vector<Load> loads_;
  bool in_trouble_{false};  // the last try to write letters failed; the next is at retry_at_
  std::string trouble_;     // what of it the shard was told
  MonoTime retry_at_{};

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace purgeline
