// Errors are values: Result<T> is either a T or an Error with one sentence for a person.
//
// Only the outside world produces errors (input, network, disk, operating system). A broken promise
// between our own parts is a CHECK (check.h).
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace purgeline {

enum class Errc : std::uint8_t {
  none,          // a close that was asked for
  invalid,       // input is malformed
  out_of_range,  // well-formed but not allowed
  not_found,     // named thing does not exist
  unavailable,   // try again later: refused, resolving failed, queue full
  timed_out,
  closed,       // the peer closed an established connection
  reset,        // the peer reset an established connection
  refused,      // nothing listens there, or the kernel refused
  permission,   // the operating system said EACCES or EPERM
  no_space,     // disk full
  corrupt,      // stored data does not read back
  exists,       // already there, already locked
  unsupported,  // this kernel, library or sandbox cannot do it
  internal,     // anything else, with the operating system's words in the detail
};

// The name as logs and metrics print it, for example "timed_out".
[[nodiscard]] const char* errc_name(Errc code);

// What an errno of the operating system means in our words: files, folders and sockets alike.
[[nodiscard]] Errc errno_errc(int system_errno);

struct Error {
  Errc code{Errc::internal};
  std::string detail;  // a sentence without a final full stop
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> failure(Errc code, std::string detail) {
  return tl::unexpected<Error>(Error{code, std::move(detail)});
}

}  // namespace purgeline
