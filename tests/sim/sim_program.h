// SimProgram: one life of the program in a simulated world: the real pipeline over simulated seams.
#pragma once

#include <functional>
#include <string>

#include "app/pipeline.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_stores.h"

namespace purgeline::sim {

struct SimProgram {
  struct Seams {
    SimLog& log;
    SimLog& disk;       // state.db: only positions
    std::string group;  // whose positions in the log
    LetterDisk& letters;
    SimClock& world_clock;
    Agenda& agenda;
    test::FakeRandom& random;
    Faults& faults;
    Transport& transport;
    EventLog& lines;
    Clock& clock;  // the host's own
    PeerLink* peers;
    SimSourceOptions source;
    Random& own_random;
    std::function<void()> crash_point{};
    std::function<void(const Commit&, bool to_log)> committing{};
  };
  SimProgram(const PurgeConfig& config, const LogConfig& log_config, HostMatcher matcher,
             Seams seams);

  SimSource source;
  SimOffsetStore log_inner;
  SimOffsetStore disk_inner;
  WatchedStore log_store;
  WatchedStore disk_store;
  SimDeadLetters dead_letters;
  SimResolver resolver;
  Pipeline pipeline;
};

}  // namespace purgeline::sim
