// StateDir: the folder with everything that must survive, and the lock that makes it one daemon's.
//
// Place:  opened first in `purgeline run`, closed last.
// Thread: any.
// Bound:  one lock file. The lock is the kernel's (flock), not the file's existence: it goes with
// the
//         process, also after kill -9, and no stale file ever has to be removed by hand.
#pragma once

#include <string>
#include <utility>

#include "purgeline/result.h"

namespace purgeline {

class StateDir {
 public:
  // Creates the folder (0750) when it is missing. Errc::exists: another instance has it, named by
  // PID. Errc::permission: with what to do about it.
  [[nodiscard]] static Result<StateDir> open(const std::string& path);

  StateDir(StateDir&& other) noexcept
      : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}
  StateDir& operator=(StateDir&&) = delete;
  StateDir(const StateDir&) = delete;
  StateDir& operator=(const StateDir&) = delete;
  ~StateDir();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string state_db() const { return path_ + "/state.db"; }
  [[nodiscard]] std::string journal_db() const { return path_ + "/journal.db"; }

 private:
  StateDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_;  // -1 when moved from
};

}  // namespace purgeline
