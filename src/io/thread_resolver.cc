#include "io/thread_resolver.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "io/sockets.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

Address address_of(const addrinfo& info, std::uint16_t port) {
  Address address;
  address.port = port;
  if (info.ai_family == AF_INET) {
    address.family = Address::Family::inet4;
    sockaddr_in in{};
    std::memcpy(&in, info.ai_addr, sizeof in);
    std::memcpy(address.ip.data(), &in.sin_addr, 4);
  } else if (info.ai_family == AF_INET6) {
    address.family = Address::Family::inet6;
    sockaddr_in6 in{};
    std::memcpy(&in, info.ai_addr, sizeof in);
    std::memcpy(address.ip.data(), &in.sin6_addr, 16);
  }
  return address;
}

Result<std::vector<Address>> look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) return failure(Errc::unavailable, host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    Address address = address_of(*info, port);
    if (address.family != Address::Family::none) addresses.push_back(std::move(address));
  }
  if (addresses.empty()) return failure(Errc::not_found, host + ": no address");
  return addresses;
}

}  // namespace

ThreadResolver::ThreadResolver(int wake_fd) : wake_fd_(wake_fd), thread_([this] { run(); }) {}

ThreadResolver::~ThreadResolver() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  more_.notify_one();
  thread_.join();
}

void ThreadResolver::resolve(std::string host, std::uint16_t port, ResolveHandler& handler) {
  CHECK(std::none_of(asked_.begin(), asked_.end(),
                     [&handler](const Asked& asked) { return asked.handler == &handler; }));
  asked_.push_back({next_, &handler});
  {
    const std::lock_guard lock(mutex_);
    questions_.push_back({next_, std::move(host), port});
  }
  ++next_;
  more_.notify_one();
}

void ThreadResolver::cancel(ResolveHandler& handler) {
  std::erase_if(asked_, [&handler](const Asked& asked) { return asked.handler == &handler; });
}

void ThreadResolver::poll() {
  for (;;) {
    Answer answer{0, failure(Errc::internal, "")};
    {
      const std::lock_guard lock(mutex_);
      if (answers_.empty()) return;
      answer = std::move(answers_.front());
      answers_.pop_front();
    }
    const auto found = std::find_if(asked_.begin(), asked_.end(), [&answer](const Asked& asked) {
      return asked.number == answer.number;
    });
    if (found == asked_.end()) continue;
    ResolveHandler* handler = found->handler;
    asked_.erase(found);
    handler->on_resolved(std::move(answer.addresses));
  }
}

void ThreadResolver::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return stop_ || !questions_.empty(); });
    if (stop_) return;
    const Question question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    Answer answer{question.number, look_up(question.host, question.port)};
    lock.lock();
    answers_.push_back(std::move(answer));
    write_eventfd(wake_fd_);
  }
}

}  // namespace purgeline
