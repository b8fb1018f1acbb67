// What a changed configuration changes while the daemon runs.
//
// Place:   between load_config() and the shard, at a SIGHUP. Thread: any; nothing is kept.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "purgeline/config.h"
#include "purgeline/types.h"

namespace purgeline {

struct ConfigChange {
  Config config;                     // what is to run: keys that need a restart as they were
  std::vector<std::string> restart;  // keys that differ and need one, `log.kafka.group`
};

[[nodiscard]] ConfigChange change_of(const Config& running, const Config& wanted);

// How the last reading of the configuration ended. Thread: any; a scrape reads what the shard and
// the control thread tell.
class ReloadState {
 public:
  explicit ReloadState(WallTime loaded) : at_(loaded.time_since_epoch().count()) {}
  void succeeded(WallTime at) {
    at_ = at.time_since_epoch().count();
    good_ = true;
  }
  void failed() { good_ = false; }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] WallTime at() const { return WallTime(Duration(at_)); }

 private:
  std::atomic<bool> good_{true};
  std::atomic<std::int64_t> at_;
};

}  // namespace purgeline
