#include "peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

constexpr long kThreads = 4;

void purge_one(int fd, const std::string& request) {
  char answer[4096];
  CHECK(::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = ::read(fd, answer, sizeof answer);
    CHECK(got > 0);
    text.append(answer, static_cast<std::size_t>(got));
  }
  CHECK(is_good_answer(text));
}

}  // namespace

Cache cache_of(const std::string& address, const std::string& pid) {
  const std::size_t colon = address.rfind(':');
  CHECK(colon != std::string::npos);
  return {address.substr(0, colon),
          static_cast<std::uint16_t>(std::atol(address.c_str() + colon + 1)), pid};
}

std::string page(long round, long number) {
  return "/wiki/A_page_of_the_benchmark_" + std::to_string(round) + "_" + std::to_string(number);
}

std::string request_of(long round, long number) {
  return "PURGE " + page(round, number) +
         " HTTP/1.1\r\nHost: en.wikipedia.org\r\nUser-Agent: peer\r\n\r\n";
}

bool is_good_answer(const std::string& text) {
  const std::string status = text.substr(0, 12);
  return status == "HTTP/1.1 204" || status == "HTTP/1.1 404" || status == "HTTP/1.1 200";
}

int connect_to(const Cache& cache) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(cache.port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&in), sizeof in) == 0);
  return fd;
}

void purge_as_purged(const std::vector<Cache>& caches, long round, long count,
                     const std::function<void(long)>& paced) {
  std::vector<std::thread> threads;
  for (long i = 0; i < kThreads; ++i) {
    threads.emplace_back([&caches, &paced, round, count, i] {
      std::vector<int> fds;
      for (const Cache& cache : caches) fds.push_back(connect_to(cache));
      for (long number = i; number < count; number += kThreads) {
        if (paced) paced(number);
        const std::string request = request_of(round, number);
        for (const int fd : fds) purge_one(fd, request);
      }
      for (const int fd : fds) ::close(fd);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace purgeline::bench
