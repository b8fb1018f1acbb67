#include "sim/sim_program.h"

#include <utility>

namespace purgeline::sim {

SimProgram::SimProgram(const PurgeConfig& config, const LogConfig& log_config, HostMatcher matcher,
                       Seams seams)
    : source(seams.log, std::move(seams.source)),
      log_inner(seams.log, seams.group),
      disk_inner(seams.disk, "state.db"),
      log_store(log_inner, Fault::commit_failed, seams.world_clock, seams.agenda, seams.random,
                seams.faults,
                [tell = seams.committing](const Commit& commit) { tell(commit, true); }),
      disk_store(disk_inner, Fault::position_disk, seams.world_clock, seams.agenda, seams.random,
                 seams.faults,
                 [tell = seams.committing](const Commit& commit) { tell(commit, false); }),
      dead_letters(seams.letters, seams.world_clock, seams.agenda, seams.random, seams.faults,
                   seams.crash_point),
      resolver(seams.world_clock, seams.agenda, seams.random, seams.faults),
      pipeline(config, log_config, std::move(matcher),
               {seams.clock, seams.own_random, seams.transport, resolver, source, log_store,
                disk_store, dead_letters, seams.lines, nullptr, seams.peers}) {
  pipeline.start();
}

}  // namespace purgeline::sim
