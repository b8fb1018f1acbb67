#include "io/thread_resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "io/sockets.h"
#include "purgeline/check.h"
#include "purgeline/eventfd.h"

namespace purgeline {
namespace {

Address address_of(const addrinfo& info) {
  Address address;
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

}  // namespace

Result<std::vector<Address>> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) return failure(Errc::unavailable, host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    Address address = address_of(*info);
    if (address.family != Address::Family::none) addresses.push_back(std::move(address));
  }
  if (addresses.empty()) return failure(Errc::not_found, host + ": no address");
  return addresses;
}

struct ThreadResolver::Common {
  struct Answer {
    std::string host;
    Result<std::vector<Address>> addresses;
  };

  LookUp look_up;
  // A descriptor of our own for the same eventfd: a late worker must not write to a file that got
  // the number of a transport that is gone.
  Fd wake;
  std::mutex mutex;  // guards what follows
  std::condition_variable more;
  std::deque<std::string> questions;
  std::deque<Answer> answers;
  std::size_t workers{0};
  std::size_t idle{0};
  bool stop{false};
};

ThreadResolver::ThreadResolver(int wake_fd, const Clock& clock, LookUp look_up)
    : clock_(clock), common_(std::make_shared<Common>()) {
  common_->look_up = std::move(look_up);
  common_->wake = Fd(::dup(wake_fd));
  CHECK(common_->wake.valid());
}

ThreadResolver::~ThreadResolver() {
  const std::lock_guard lock(common_->mutex);
  common_->stop = true;
  common_->questions.clear();
  common_->more.notify_all();
}

void ThreadResolver::resolve(std::string host, std::uint16_t port, ResolveHandler& handler) {
  CHECK(std::none_of(asked_.begin(), asked_.end(),
                     [&handler](const Asked& asked) { return asked.handler == &handler; }));
  Name& name = names_[host];
  if (!name.asking) {
    if (name.kept && clock_.now() < name.kept_until) {
      name.due = true;
      write_eventfd(common_->wake.get());
    } else {
      name.kept.reset();
      name.due = false;
      name.asking = true;
      ask(host);
    }
  }
  asked_.push_back({next_++, std::move(host), port, &handler});
}

// A worker more when none is idle for it: the questions that wait have been counted on the others.
void ThreadResolver::ask(const std::string& host) {
  const std::lock_guard lock(common_->mutex);
  common_->questions.push_back(host);
  if (common_->questions.size() > common_->idle && common_->workers < kWorkers) {
    try {
      std::thread([common = common_] { work(common); }).detach();
      ++common_->workers;
    } catch (const std::system_error& error) {
      // With others at work the question waits for one of them.
      if (common_->workers == 0) {
        common_->questions.pop_back();
        common_->answers.push_back(
            {host, failure(Errc::unavailable, host + ": no thread to ask on: " + error.what())});
        write_eventfd(common_->wake.get());
      }
    }
  }
  common_->more.notify_one();
}

void ThreadResolver::cancel(ResolveHandler& handler) {
  std::erase_if(asked_, [&handler](const Asked& asked) { return asked.handler == &handler; });
}

bool ThreadResolver::tell(const std::string& host, const Result<std::vector<Address>>& addresses) {
  // What a handler asks while it is told waits for the next answer.
  const std::uint64_t before = next_;
  bool told = false;
  for (;;) {
    const auto found = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& asked) {
      return asked.number < before && asked.host == host;
    });
    if (found == asked_.end()) return told;
    ResolveHandler* handler = found->handler;
    Result<std::vector<Address>> own = addresses;
    if (own) {
      for (Address& address : *own) address.port = found->port;
    }
    asked_.erase(found);
    told = true;
    handler->on_resolved(std::move(own));
  }
}

void ThreadResolver::poll() {
  for (auto& [host, name] : names_) {
    if (!name.due) continue;
    name.due = false;
    tell(host, *name.kept);
  }
  for (;;) {
    Common::Answer answer{"", failure(Errc::internal, "")};
    {
      const std::lock_guard lock(common_->mutex);
      if (common_->answers.empty()) return;
      answer = std::move(common_->answers.front());
      common_->answers.pop_front();
    }
    Name& name = names_[answer.host];
    CHECK(name.asking);
    name.asking = false;
    if (tell(answer.host, answer.addresses) || !answer.addresses) continue;
    name.kept = std::move(*answer.addresses);
    name.kept_until = clock_.now() + kKeepLate;
  }
}

void ThreadResolver::work(const std::shared_ptr<Common>& common) {
  std::unique_lock lock(common->mutex);
  for (;;) {
    ++common->idle;
    common->more.wait(lock, [&common] { return common->stop || !common->questions.empty(); });
    --common->idle;
    if (common->stop) return;
    const std::string host = std::move(common->questions.front());
    common->questions.pop_front();
    lock.unlock();
    Result<std::vector<Address>> addresses = common->look_up(host);
    lock.lock();
    if (common->stop) return;
    common->answers.push_back({host, std::move(addresses)});
    write_eventfd(common->wake.get());
  }
}

}  // namespace purgeline
