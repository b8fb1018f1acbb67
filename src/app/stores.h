// Stores: what outlives the shard: the state folder, its database, and the journal when something
// is kept in one.
//
// Place:  made by the daemon. Thread: the one that builds the daemon; the databases have their own.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "io/system_clock.h"
#include "purgeline/config.h"
#include "purgeline/result.h"
#include "store/journal.h"
#include "store/state_dir.h"
#include "store/store_thread.h"

namespace purgeline {

class Stores {
 public:
  // Otherwise what could not be opened, and why.
  [[nodiscard]] std::optional<std::pair<const char*, Error>> open(const Config& config);

  [[nodiscard]] StoreThread& store() { return *store_; }
  // Null when nothing is kept in it. Started.
  [[nodiscard]] Journal* journal() { return journal_.get(); }
  // Writes and answers what it has taken. Whoever is answered has to be there yet.
  void stop_journal();

 private:
  std::optional<StateDir> folder_;
  SystemClock store_clock_;
  std::unique_ptr<StoreThread> store_;
  SystemClock journal_clock_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace purgeline
