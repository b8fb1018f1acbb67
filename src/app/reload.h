// Reloader: a SIGHUP, from the file to the shard.
//
// Place:  made by run.cc. Thread: reload() belongs to the control thread; the shard tells
// ReloadState itself how it ended. Bound: one configuration.
//
// A file that is wrong changes nothing at all. Of a good one everything is applied except the keys
// that need a restart, which are named.
#pragma once

#include <functional>
#include <string>

#include "control/config_reload.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "route/hosts.h"

namespace purgeline {

class Reloader {
 public:
  // What the parts of the daemon get.
  struct Parts {
    std::function<void(const Config&)> beside_the_shard;  // at once, on the control thread
    std::function<void(Config, HostMatcher)> shard;
  };
  Reloader(std::string file, Config running, ReloadState& state, EventLog& log, Parts parts);

  void reload();

 private:
  void refused(const char* effect, const std::string& why, const std::string& where);

  const std::string file_;
  Config running_;
  ReloadState& state_;
  EventLog& log_;
  const Parts parts_;
};

}  // namespace purgeline
