// JournalOutbox: the journal as an outbox.
//
// Place:  under the forwarder; made by the daemon when the log is Kafka and there are intakes.
// Thread: the forwarder's.
// Bound:  one page of the reader.
#pragma once

#include <map>
#include <string>

#include "purgeline/outbox.h"
#include "store/journal.h"
#include "store/journal_damage.h"
#include "store/journal_reader.h"

namespace purgeline {

class JournalOutbox final : public OutboxLog {
 public:
  // The journal is started and outlives this.
  explicit JournalOutbox(Journal& journal) : journal_(journal), reader_(journal.path(), -1) {}

  void topics(std::vector<OutboxTopic>& out) const override { journal_.topics(out); }
  [[nodiscard]] Status read(const std::string& topic, Offset from, OutboxVisitor& visitor) override;
  void trim(const std::string& topic, Offset below) override;
  void watch(int wake_fd) override { journal_.watch(wake_fd); }
  void unwatch(int wake_fd) override { journal_.unwatch(wake_fd); }

 private:
  Journal& journal_;
  JournalReader reader_;
  std::map<std::string, JournalDamage> damage_;  // by topic
};

}  // namespace purgeline
