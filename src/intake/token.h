// The secret that requests from other hosts have to show.
#pragma once

#include <string>

#include "purgeline/result.h"

namespace purgeline {

// The first line of the file; or why it is no secret: missing, too short, or readable by everybody.
[[nodiscard]] Result<std::string> read_token(const std::string& path);

}  // namespace purgeline
