#include "intake/token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace purgeline {
namespace {

constexpr std::size_t kLeast = 16;
constexpr std::size_t kMost = 4096;

}  // namespace

Result<std::string> read_token(const std::string& path) {
  const std::string key = "intake.http.token_file: " + path;
  // Without waiting for somebody who writes: it may be a FIFO.
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failure(Errc::invalid, key + " cannot be read: " + std::strerror(errno));
  struct stat status {};
  const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  std::string token(kMost + 2, '\0');
  const ssize_t size = is_file ? ::read(fd, token.data(), token.size()) : 0;
  const int error = errno;
  ::close(fd);
  if (!is_file) return failure(Errc::invalid, key + " is not a file");
  if (size < 0) return failure(Errc::invalid, key + " cannot be read: " + std::strerror(error));
  if ((status.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
    return failure(Errc::invalid,
                   key + " may be read by everybody or written by its group: chmod 0640 it");
  }
  token.resize(static_cast<std::size_t>(size));
  token.resize(std::min(token.size(), token.find('\n')));
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  if (token.size() < kLeast || token.size() > kMost) {
    return failure(Errc::invalid, key + " has a first line of " + std::to_string(token.size()) +
                                      " bytes; a token has 16 to 4096");
  }
  for (const char c : token) {
    if (c <= ' ' || c > '~') {
      return failure(Errc::invalid, key + " has more than visible ASCII in its first line");
    }
  }
  return token;
}

}  // namespace purgeline
