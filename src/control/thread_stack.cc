#include "control/thread_stack.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace purgeline {
namespace {

constexpr int kFrames = 48;
constexpr int kOfTheHandler = 2;  // the handler itself and the kernel's return from it

// Static, because a signal handler gets nothing else.
struct Sample {
  std::array<void*, kFrames> frames{};
  std::atomic<int> count{0};
  std::atomic<int> done{-1};  // an eventfd: writing to it is allowed in a handler
};
Sample sample;

void answer(int) {
  const int saved = errno;
  sample.count = ::backtrace(sample.frames.data(), kFrames);
  const std::uint64_t one = 1;
  static_cast<void>(!::write(sample.done, &one, sizeof one));
  errno = saved;
}

// The first backtrace() of a process loads a library, which a handler must not do.
bool prepare() {
  if (sample.done >= 0) return true;
  std::array<void*, 1> frame{};
  static_cast<void>(::backtrace(frame.data(), 1));
  sample.done = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = answer;
  action.sa_flags = SA_RESTART;
  return sample.done >= 0 && ::sigaction(SIGURG, &action, nullptr) == 0;
}

std::string name_of(void* address) {
  Dl_info info{};
  if (::dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "?";
  if (info.dli_sname != nullptr) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> plain(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
    std::string name = status == 0 ? plain.get() : info.dli_sname;
    return name.substr(0, name.find('('));  // without the types of its arguments
  }
  const std::string file = info.dli_fname;
  std::array<char, 32> offset{};
  std::snprintf(
      offset.data(), offset.size(), "+0x%zx",
      static_cast<std::size_t>(static_cast<char*>(address) - static_cast<char*>(info.dli_fbase)));
  return file.substr(file.rfind('/') + 1) + offset.data();
}

}  // namespace

std::string stack_of_thread(pid_t thread, std::chrono::milliseconds patience) {
  if (thread <= 0 || !prepare()) return {};
  std::uint64_t late = 0;  // an answer that came after its question was given up
  static_cast<void>(!::read(sample.done, &late, sizeof late));
  sample.count = 0;
  if (::syscall(SYS_tgkill, ::getpid(), thread, SIGURG) != 0) return {};
  pollfd wait{sample.done, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(patience.count())) != 1) return {};
  std::string text;
  for (int i = kOfTheHandler; i < sample.count; ++i) {
    if (!text.empty()) text += " < ";
    text += name_of(sample.frames[static_cast<std::size_t>(i)]);
  }
  return text;
}

}  // namespace purgeline
