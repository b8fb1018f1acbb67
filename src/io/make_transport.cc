#include "io/make_transport.h"

#include <utility>

#include "io/epoll_transport.h"
#include "io/uring_transport.h"

namespace purgeline {

Result<MadeTransport> make_transport(IoKind kind, std::size_t max_links, Clock& clock) {
  std::string reason;
  if (kind != IoKind::epoll) {
    auto uring = UringTransport::make(max_links, clock);
    if (uring) return MadeTransport{std::move(*uring), "uring", ""};
    if (kind == IoKind::uring) {
      return failure(uring.error().code, "io: uring was asked for: " + uring.error().detail);
    }
    reason = uring.error().detail;
  }
  return MadeTransport{std::make_unique<EpollTransport>(max_links, clock), "epoll", reason};
}

}  // namespace purgeline
