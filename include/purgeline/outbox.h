// Outbox: what is kept here until another log has confirmed it, and the seam by which it is read.
//
// Place: between the journal, which keeps the events of the intakes while the log is Kafka, and
//        whoever forwards them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

// A topic with what is kept of it: [low, high).
struct OutboxTopic {
  std::string name;
  Offset low;
  Offset high;
};

struct OutboxEvent {
  Offset offset;
  WallTime time{};
  std::string_view key;
  std::string_view value;
};

class OutboxVisitor {
 public:
  virtual ~OutboxVisitor() = default;
  // In order, without gaps. The views live until it returns. False: enough.
  [[nodiscard]] virtual bool on_event(const OutboxEvent& event) = 0;
};

// Thread: the forwarder's own, where reading may wait for the disk.
class OutboxLog {
 public:
  virtual ~OutboxLog() = default;
  virtual void topics(std::vector<OutboxTopic>& out) const = 0;
  // A page of what is there from `from` on. REQUIRES: low <= from < high.
  [[nodiscard]] virtual Status read(const std::string& topic, Offset from,
                                    OutboxVisitor& visitor) = 0;
  // Everything below is confirmed elsewhere and may go. Not at once, and what is still there after
  // a restart is forwarded again.
  virtual void trim(const std::string& topic, Offset below) = 0;
  // An eventfd to write to whenever topics() has changed; it stays open until unwatch().
  virtual void watch(int wake_fd) = 0;
  virtual void unwatch(int wake_fd) = 0;
};

}  // namespace purgeline
