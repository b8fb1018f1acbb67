// Which transport runs: io_uring, or epoll where that is refused.
#pragma once

#include <memory>
#include <string>

#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/result.h"
#include "purgeline/transport.h"

namespace purgeline {

struct MadeTransport {
  std::unique_ptr<Transport> transport;
  std::string backend;  // "uring" or "epoll"
  std::string reason;   // why not io_uring, when it was wanted and refused
};

// On the thread that will turn it. A forced kind that is refused is an error with the cause.
[[nodiscard]] Result<MadeTransport> make_transport(IoKind kind, std::size_t max_links,
                                                   Clock& clock);

}  // namespace purgeline
