// The one table from the operating system's errors to ours.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "purgeline/result.h"

namespace purgeline {
namespace {

TEST(Errno, EachErrorInOurWords) {
  struct Row {
    int system_errno;
    Errc code;
  };
  const Row rows[] = {
      {0, Errc::none},
      {ECONNREFUSED, Errc::refused},
      {ECONNRESET, Errc::reset},
      {ECONNABORTED, Errc::reset},
      {EPIPE, Errc::reset},
      {ETIMEDOUT, Errc::timed_out},
      {EHOSTUNREACH, Errc::timed_out},
      {ENETUNREACH, Errc::timed_out},
      {EACCES, Errc::permission},
      {EPERM, Errc::permission},
      {EROFS, Errc::permission},
      {ENOSPC, Errc::no_space},
      {EDQUOT, Errc::no_space},
      {ENOENT, Errc::not_found},
      {ENOTDIR, Errc::invalid},
      {EEXIST, Errc::exists},
      {EMFILE, Errc::unavailable},
      {ENFILE, Errc::unavailable},
      {ENOMEM, Errc::unavailable},
      {ENOBUFS, Errc::unavailable},
      {EAGAIN, Errc::unavailable},
      {EIO, Errc::internal},
      {99999, Errc::internal},
      {-1, Errc::internal},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(errno_errc(row.system_errno), row.code) << std::strerror(row.system_errno);
  }
}

}  // namespace
}  // namespace purgeline
