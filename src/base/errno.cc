#include <cerrno>

#include "purgeline/result.h"

namespace purgeline {

Errc errno_errc(int system_errno) {
  switch (system_errno) {
    case 0:
      return Errc::none;
    case ECONNREFUSED:
      return Errc::refused;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return Errc::reset;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Errc::timed_out;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::permission;
    case ENOSPC:
    case EDQUOT:
      return Errc::no_space;
    case ENOENT:
      return Errc::not_found;
    case ENOTDIR:  // a path that goes through a file is a mistake in the configuration
      return Errc::invalid;
    case EEXIST:
      return Errc::exists;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
      return Errc::unavailable;
    default:
      return Errc::internal;
  }
}

}  // namespace purgeline
