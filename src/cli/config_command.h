// `purgeline config check`, `show` and `docs`.
#pragma once

#include <iosfwd>

#include "cli/exit_status.h"
#include "cli/parse.h"
#include "control/config_load.h"

namespace purgeline::cli {

// Results go to `out`; mistakes to `err`, or to `out` as JSON where that was asked for.
[[nodiscard]] ExitStatus run_config_command(const ParsedCommand& parsed, Environment environment,
                                            std::ostream& out, std::ostream& err);

}  // namespace purgeline::cli
