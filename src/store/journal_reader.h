// JournalReader: reads journal.db on a connection and a thread of its own.
//
// Place:  behind JournalSource, JournalOffsets and the outbox, one for each.
// Thread: ask() and poll() belong to its owner; serve() and below to its own thread, which alone
//         touches its connection.
// Bound:  kQuestions questions that are not answered; a page holds at most kPageRows events and,
// but
//         for its last event, kPageBytes.
//
// The snapshot is given up after every page: whoever reads slowly must not keep the write-ahead log
// from being folded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "purgeline/result.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "store/database.h"
#include "store/queue.h"

namespace purgeline {

// Consecutive events of one topic, in one piece of memory.
struct JournalPage {
  struct Row {
    WallTime time{};
    std::size_t key_end{0};  // each begins where the one before it ends
    std::size_t end{0};
  };
  Offset first;
  std::string bytes;
  std::vector<Row> rows;

  [[nodiscard]] std::string_view key(std::size_t row) const;
  [[nodiscard]] std::string_view value(std::size_t row) const;
};

class JournalReader {
 public:
  static constexpr std::size_t kQuestions = 1024;
  static constexpr std::int64_t kPageRows = 512;
  static constexpr std::size_t kPageBytes = 1 << 20;

  struct ReadPage {
    std::string topic;
    Offset from;
  };
  struct FindTime {
    std::string topic;
    WallTime time;
  };
  struct AskEnds {
    std::string topic;
  };
  struct AskIdentity {};
  struct LoadPosition {
    std::string reader;
    std::string topic;
  };
  using Question = std::variant<ReadPage, FindTime, AskEnds, AskIdentity, LoadPosition>;

  // `from` is not in the log: below what retention left, or beyond the end.
  struct OutOfRange {};
  struct Identity {
    std::string journal_id;
  };
  using Answer =
      std::variant<JournalPage, OutOfRange, Offset, LogEnds, Identity, std::optional<Position>>;
  using End = std::function<void(Result<Answer>)>;

  // The journal is open, so the file exists; what keeps it from being read now is the answer to the
  // questions. `wake_fd` is written to when poll() has something; it
  // stays open until the reader is gone. -1: nobody sleeps.
  JournalReader(std::string path, int wake_fd);
  ~JournalReader();
  JournalReader(const JournalReader&) = delete;
  JournalReader& operator=(const JournalReader&) = delete;

  // False when too many questions are open. `end` runs inside poll(), or never when it is stopped.
  [[nodiscard]] bool ask(Question question, End end);
  void poll();
  // As poll(), after waiting for an answer.
  void wait();
  // Waits for the question that is being answered.
  void stop();

 private:
  struct Asked {
    Question question;
    End end;
  };
  struct Answered {
    Result<Answer> answer;
    End end;
  };
  struct Statements {
    std::optional<Statement> topic, page, mark, later, id, position;
  };

  [[nodiscard]] Status prepare();
  void close_database();
  void serve();
  [[nodiscard]] Result<Answer> answer(const Question& question);
  [[nodiscard]] Result<Answer> page(const ReadPage& question);
  [[nodiscard]] Result<Answer> find(const FindTime& question);
  [[nodiscard]] Result<Answer> identity();
  [[nodiscard]] Result<Answer> position(const LoadPosition& question);
  struct Topic {
    std::int64_t id{0};
    LogEnds ends;
  };
  [[nodiscard]] Result<Topic> topic(const std::string& name);
  void tell(std::vector<Answered>& answers);

  Queue<Asked> questions_;
  Queue<Answered> answers_;
  std::size_t open_{0};            // questions without an answer; the owner's
  std::vector<Answered> telling_;  // the owner's

  const std::string path_;
  const int wake_fd_;
  std::optional<Database> database_;  // its own thread's, as the statements are
  Statements sql_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace purgeline
