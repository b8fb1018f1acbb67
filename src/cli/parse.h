// From argv to a command. CLI11 is behind this one function, because its header takes long to
// compile.
#pragma once

#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/exit_status.h"

namespace purgeline::cli {

// Nothing is left to do but to print `text` and exit: help on stdout, wrong usage on stderr.
struct Finished {
  ExitStatus status{ExitStatus::done};
  std::string text;
};

struct ParsedCommand {
  Command command{Command::version};
  CommandOptions options;
  std::optional<Finished> finished;
};

[[nodiscard]] ParsedCommand parse_command_line(int argc, const char* const* argv);

}  // namespace purgeline::cli
