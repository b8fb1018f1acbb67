#include "bare_client.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

constexpr long kDepth = 64;
constexpr timespec kTick{0, 1'000'000};

struct Connection {
  int fd{-1};
  long in_flight{0};
  std::size_t matched{0};  // of the empty line that ends an answer
};

long count_ends(Connection& connection, const char* text, std::size_t size) {
  constexpr char kEnd[] = "\r\n\r\n";
  long ends = 0;
  const char* const end = text + size;
  while (text < end) {
    if (*text == kEnd[connection.matched]) {
      ++text;
      if (++connection.matched < 4) continue;
      connection.matched = 0;
      ++ends;
    } else if (connection.matched > 0) {
      connection.matched = 0;  // and this byte is looked at again
    } else {
      const void* next = std::memchr(text, '\r', static_cast<std::size_t>(end - text));
      if (next == nullptr) break;
      text = static_cast<const char*>(next);
    }
  }
  return ends;
}

}  // namespace

void purge_bare(const Cache& cache, long round, long count) {
  std::array<Connection, 4> connections;
  for (Connection& connection : connections) connection.fd = connect_to(cache);
  std::string requests;
  std::string answers(65536, '\0');
  long next = 0;
  for (long done = 0; done < count;) {
    for (Connection& connection : connections) {
      requests.clear();
      for (; connection.in_flight < kDepth && next < count; ++connection.in_flight, ++next) {
        requests += request_of(round, next);
      }
      if (requests.empty()) continue;
      CHECK(::send(connection.fd, requests.data(), requests.size(), 0) ==
            static_cast<ssize_t>(requests.size()));
    }
    ::nanosleep(&kTick, nullptr);
    for (Connection& connection : connections) {
      if (connection.in_flight == 0) continue;
      const ssize_t got = ::recv(connection.fd, answers.data(), answers.size(), MSG_DONTWAIT);
      if (got <= 0) continue;
      const long ends = count_ends(connection, answers.data(), static_cast<std::size_t>(got));
      connection.in_flight -= ends;
      done += ends;
    }
  }
  for (const Connection& connection : connections) ::close(connection.fd);
}

}  // namespace purgeline::bench
