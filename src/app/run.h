// `purgeline run`: the daemon.
#pragma once

#include <string>

#include "cli/exit_status.h"
#include "control/metrics_text.h"

namespace purgeline {

[[nodiscard]] cli::ExitStatus run_daemon(const std::string& config_file, const BuildInfo& build);

}  // namespace purgeline
