// Asking a thread where it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "control/thread_stack.h"

namespace purgeline {

// Outside of the anonymous namespace: only what a program exports has a name at run time.
__attribute__((noinline)) void spin_until(const std::atomic<bool>& stop, std::promise<pid_t>& at) {
  at.set_value(::gettid());
  while (!stop) {
  }
}

namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// A thread in spin_until(), which takes SIGURG or does not.
struct Spinning {
  explicit Spinning(bool answers) {
    thread = std::thread([this, answers] {
      sigset_t urgent;
      sigemptyset(&urgent);
      sigaddset(&urgent, SIGURG);
      if (!answers) pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
      spin_until(stop, started);
    });
    id = started.get_future().get();
  }
  ~Spinning() {
    stop = true;
    thread.join();
  }
  Spinning(const Spinning&) = delete;
  Spinning& operator=(const Spinning&) = delete;

  std::atomic<bool> stop{false};
  std::promise<pid_t> started;
  std::thread thread;
  pid_t id{0};
};

TEST(ThreadStack, NamesWhatTheThreadIsIn) {
  const Spinning busy(true);
  EXPECT_THAT(stack_of_thread(busy.id, milliseconds(20000)), HasSubstr("purgeline::spin_until < "));
}

TEST(ThreadStack, IsEmptyWhenTheThreadDoesNotAnswer) {
  const Spinning deaf(false);
  EXPECT_EQ(stack_of_thread(deaf.id, milliseconds(10)), "");
  EXPECT_EQ(stack_of_thread(0, milliseconds(10)), "");
}

TEST(ThreadStack, AThreadThatIsGoneIsNoTrouble) {
  pid_t gone = 0;
  {
    const Spinning busy(true);
    gone = busy.id;
  }
  EXPECT_EQ(stack_of_thread(gone, milliseconds(10)), "");
}

}  // namespace
}  // namespace purgeline
