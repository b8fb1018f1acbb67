// What the process's exit status says; see exit_status.def.
#pragma once

namespace purgeline::cli {

enum class ExitStatus : int {
#define EXIT_STATUS(name, number, sentence) name = number,
#include "cli/exit_status.def"
#undef EXIT_STATUS
};

}  // namespace purgeline::cli
