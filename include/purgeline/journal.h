// JournalWriter: how an intake hands events to the journal, the embedded log.
//
// An intake answers its client only after `done` said so: what was acknowledged is on disk and
// survives a kill and a power cut.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

// One event on its way into the log. It owns its bytes.
struct Append {
  std::string topic;
  std::string key;    // kept with the event; Kafka's message key when it is forwarded
  std::string value;  // the event as JSON, as a producer to Kafka would write it
  WallTime time{};    // the log's timestamp of the event: when it arrived
};

// Thread: any.
// Bound:  a queue of so many events and bytes (JournalOptions); what does not fit is refused at
//         once.
class JournalWriter {
 public:
  // The offsets, in the order of the batch; or why nothing of the batch was written.
  // Errc::no_space and Errc::unavailable pass: try again later (503 + Retry-After).
  // Called on the writer thread, once for each batch that was taken, also while stopping; it must
  // not block, and hands the answer on to a thread of its own.
  using Done = std::function<void(Result<std::vector<Offset>>)>;

  virtual ~JournalWriter() = default;

  // All or nothing, in one transaction. False: refused at once, `done` is never called; trouble()
  // says why. An empty batch is our own bug.
  [[nodiscard]] virtual bool append(std::vector<Append> batch, Done done) = 0;

  // Whether events of this topic may come. A topic is kept for ever once there was an event of it,
  // so that whoever may post could make any number: those that the configuration does not name are
  // bounded. A topic that is taken stays so.
  [[nodiscard]] virtual bool takes_topic(const std::string& topic) = 0;

  // Why appends are refused now (disk, size, a queue that is full), one sentence for a person;
  // empty: they work.
  [[nodiscard]] virtual std::string trouble() const = 0;
};

}  // namespace purgeline
