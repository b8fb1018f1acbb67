#include "intake/token.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace purgeline {
namespace {

constexpr std::size_t kLeast = 16;
constexpr std::size_t kMost = 4096;

}  // namespace

Result<std::string> read_token(const std::string& path) {
  const std::string key = "intake.http.token_file: " + path;
  std::ifstream file(path);
  if (!file) return failure(Errc::invalid, key + " cannot be read: " + std::strerror(errno));
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return failure(Errc::invalid, key + " is not a file");
  }
  if ((status.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
    return failure(Errc::invalid,
                   key + " may be read by everybody or written by its group: chmod 0640 it");
  }
  std::string token;
  std::getline(file, token);
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
