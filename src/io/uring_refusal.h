// Why a kernel or sandbox refuses io_uring, in one line for the person who has to change it.
#pragma once

#include <string>

namespace purgeline {

// `error`: the errno of io_uring_setup. Reads /proc to tell the causes of one number apart.
[[nodiscard]] std::string uring_refusal(int error);

}  // namespace purgeline
