// Everything that `purgeline run` has beside the admin page, with the defaults of the
// configuration, and the log that it reads.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "app/shard.h"
#include "io/system_clock.h"
#include "mock_log.h"

namespace purgeline::bench {

// As the daemon does it, first thing.
void tune_memory();
[[nodiscard]] double resident_mib();
void pause_ms(int ms);

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_{std::chrono::steady_clock::now()};
};

class World {
 public:
  // Two layers of one target each, on these ports of loopback.
  World(const LogPlan& plan, std::array<std::uint16_t, 2> ports);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Both targets have a connection.
  [[nodiscard]] bool up() const;
  [[nodiscard]] double committed() const;
  // Purges of one of the targets that were answered well.
  [[nodiscard]] double purged(std::size_t target) const;

  MockLog log;
  SnapshotBoard board;
  std::optional<Shard> shard;

 private:
  std::string folder_;
  Config config_;
  SystemClock store_clock_;
  LogOutput output_;
  Heartbeat heartbeat_;
  std::unique_ptr<StoreThread> store_;
};

}  // namespace purgeline::bench
