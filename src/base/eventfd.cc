#include "purgeline/eventfd.h"

#include <unistd.h>

#include <cstdint>

namespace purgeline {

void write_eventfd(int fd) {
  const std::uint64_t one = 1;
  static_cast<void>(::write(fd, &one, sizeof one) == sizeof one);
}

void drain_eventfd(int fd) {
  std::uint64_t count = 0;
  static_cast<void>(::read(fd, &count, sizeof count) == sizeof count);
}

}  // namespace purgeline
