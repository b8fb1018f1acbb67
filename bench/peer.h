// The way in which purged 0.17 talks to caches: four threads, each with a connection of its own to
// each cache, that write one request of two headers, wait for its answer, and go on. Nothing else
// of purged: no events, no queue, no timers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace purgeline::bench {

struct Cache {
  std::string host;
  std::uint16_t port{0};
  std::string pid;
};

// `address` is HOST:PORT.
[[nodiscard]] Cache cache_of(const std::string& address, const std::string& pid);

// The target of one purge: distinct in each round.
[[nodiscard]] std::string page(long round, long number);
[[nodiscard]] std::string request_of(long round, long number);
// 200, 204 and 404 all say that it is gone.
[[nodiscard]] bool is_good_answer(const std::string& text);

[[nodiscard]] int connect_to(const Cache& cache);

// Purges `count` pages of the round on each of the caches, one cache after another. With `paced`,
// which returns when its page may be begun.
void purge_as_purged(const std::vector<Cache>& caches, long round, long count,
                     const std::function<void(long)>& paced = {});

}  // namespace purgeline::bench
