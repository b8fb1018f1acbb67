// Preloaded into the daemon: its wall clock is off by the seconds that a shared file says, and can
// be stepped while it runs. Time namespaces do not cover the wall clock.
//
// The kernel calls the clock synchronised, whether this machine's is or not: else the daemon would
// not believe what events say about their time, and tests of that would show nothing.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using ClockGettime = int (*)(clockid_t, timespec*);

std::int64_t off_by() {
  static const std::atomic<std::int64_t>* const seconds = []() -> std::atomic<std::int64_t>* {
    const char* path = std::getenv("PURGELINE_TEST_STEP_CLOCK");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    return page == MAP_FAILED ? nullptr : static_cast<std::atomic<std::int64_t>*>(page);
  }();
  return seconds == nullptr ? 0 : seconds->load();
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const auto real = reinterpret_cast<ClockGettime>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += off_by();
  }
  return result;
}

extern "C" int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

extern "C" int adjtimex(timex* state) noexcept {
  using Adjtimex = int (*)(timex*);
  static const auto real = reinterpret_cast<Adjtimex>(::dlsym(RTLD_NEXT, "adjtimex"));
  const int result = real(state);
  if (result < 0) return result;
  state->status &= ~STA_UNSYNC;
  return TIME_OK;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
