// ThreadResolver: getaddrinfo() on threads of its own, because it can block for as long as it
// likes.
//
// Place:  behind the Resolver seam. Thread: all calls from the shard; the lookups on the workers.
// Bound:  one open question per name, whoever asks meanwhile joins it; kWorkers threads, started
//         when they are first needed.
//
// Nobody waits for a worker: it shares the ownership of what it touches, so the resolver, and the
// process, may end while a lookup hangs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/resolver.h"

namespace purgeline {

// The addresses of a host by the system's name service, with port 0. Blocks.
[[nodiscard]] Result<std::vector<Address>> look_up(const std::string& host);

class ThreadResolver : public Resolver {
 public:
  using LookUp = std::function<Result<std::vector<Address>>(const std::string& host)>;

  // So many names may hang before a further one has to wait. A name service that answers nothing at
  // all costs these threads and no more.
  static constexpr std::size_t kWorkers = 4;
  // An answer that came when nobody waited any more serves who asks within this time: otherwise a
  // service slower than a target's patience would never be of use.
  static constexpr Duration kKeepLate = std::chrono::seconds(30);

  // `wake_fd`: the eventfd of the shard's transport; written when poll() has something. `look_up`
  // is called on several threads at once.
  ThreadResolver(int wake_fd, const Clock& clock, LookUp look_up = purgeline::look_up);
  ~ThreadResolver() override;
  ThreadResolver(const ThreadResolver&) = delete;
  ThreadResolver& operator=(const ThreadResolver&) = delete;

  void resolve(std::string host, std::uint16_t port, ResolveHandler& handler) override;
  void cancel(ResolveHandler& handler) override;
  void poll() override;

 private:
  struct Common;
  struct Asked {
    std::uint64_t number;
    std::string host;
    std::uint16_t port;
    ResolveHandler* handler;
  };
  struct Name {
    bool asking{false};  // a question is open
    bool due{false};     // the next poll() hands out what is kept
    std::optional<std::vector<Address>> kept;
    MonoTime kept_until{};
  };
  void ask(const std::string& host);
  // False: nobody waited for it.
  bool tell(const std::string& host, const Result<std::vector<Address>>& addresses);
  static void work(const std::shared_ptr<Common>& common);

  const Clock& clock_;
  std::uint64_t next_{1};
  std::vector<Asked> asked_;
  std::map<std::string, Name> names_;  // those that targets have
  std::shared_ptr<Common> common_;     // with the workers
};

}  // namespace purgeline
