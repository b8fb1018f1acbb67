#include "app/stores.h"

#include "app/intakes.h"

namespace purgeline {
namespace {

// As the outbox it has no topics but those of what waits.
JournalOptions journal_options(const JournalConfig& config, bool is_log) {
  JournalOptions options;
  options.topics = config.topics;
  if (is_log && options.topics.empty()) options.topics.emplace_back("resource-purge");
  options.retention = config.retention;
  options.max_size = config.max_size;
  // Purged already: to Kafka goes what is not.
  options.drop_finished = !is_log;
  return options;
}

}  // namespace

std::optional<std::pair<const char*, Error>> Stores::open(const Config& config) {
  auto folder = StateDir::open(config.state_dir);
  if (!folder) return std::pair{"state_dir not usable", folder.error()};
  folder_.emplace(std::move(*folder));
  auto store = StoreThread::open(folder_->state_db(), store_clock_);
  if (!store) return std::pair{"state.db not usable", store.error()};
  store_ = std::move(*store);
  const bool is_log = config.log.kafka.brokers.empty();
  if (!is_log && !Intakes::wanted(config.intake)) return std::nullopt;
  auto journal = Journal::open(folder_->journal_db(), journal_clock_,
                               journal_options(config.log.journal, is_log));
  if (!journal) return std::pair{"journal.db not usable", journal.error()};
  journal_ = std::move(*journal);
  journal_->start();
  return std::nullopt;
}

void Stores::stop_journal() {
  if (journal_) journal_->stop();
}

}  // namespace purgeline
