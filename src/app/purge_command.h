// `purgeline purge`: purge URLs now, without a log.
#pragma once

#include <iosfwd>

#include "cli/commands.h"
#include "cli/exit_status.h"

namespace purgeline {

// One line per URL and target on `out`: OUTCOME STATUS TARGET URL, in the order in which they end.
[[nodiscard]] cli::ExitStatus purge_now(const cli::CommandOptions& options, std::ostream& out,
                                        std::ostream& err);

}  // namespace purgeline
