#include "app/stores.h"

namespace purgeline {
namespace {

JournalOptions journal_options(const JournalConfig& config) {
  JournalOptions options;
  options.topics = config.topics;
  if (options.topics.empty()) options.topics.emplace_back("resource-purge");
  options.retention = config.retention;
  options.max_size = config.max_size;
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
  if (!config.log.kafka.brokers.empty()) return std::nullopt;
  auto journal =
      Journal::open(folder_->journal_db(), journal_clock_, journal_options(config.log.journal));
  if (!journal) return std::pair{"journal.db not usable", journal.error()};
  journal_ = std::move(*journal);
  journal_->start();
  return std::nullopt;
}

void Stores::stop_journal() {
  if (journal_) journal_->stop();
}

}  // namespace purgeline
