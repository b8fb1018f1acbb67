// What happens where io_uring is refused: each case in a child, because a filter cannot be taken
// off.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "io/make_transport.h"
#include "io/system_clock.h"

namespace purgeline {
namespace {

// io_uring_setup answers `error` from now on.
bool refuse_ring(unsigned error) {
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Exit status of a child that runs `body`.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Refusal, AutomaticFallsBackToEpollAndNamesTheFilter) {
  EXPECT_EQ(in_child([] {
              if (!refuse_ring(EPERM)) return 2;
              SystemClock clock;
              const auto made = make_transport(IoKind::automatic, 8, clock);
              if (!made || made->backend != "epoll") return 3;
              return made->reason.find("seccomp") == std::string::npos ? 4 : 0;
            }),
            0);
}

TEST(Refusal, AForcedRingIsAnErrorWithTheCause) {
  EXPECT_EQ(in_child([] {
              if (!refuse_ring(ENOSYS)) return 2;
              SystemClock clock;
              const auto made = make_transport(IoKind::uring, 8, clock);
              if (made) return 3;
              return made.error().detail.find("seccomp") == std::string::npos ? 4 : 0;
            }),
            0);
}

TEST(Refusal, AForcedEpollAsksNoRing) {
  EXPECT_EQ(in_child([] {
              if (!refuse_ring(EPERM)) return 2;
              SystemClock clock;
              const auto made = make_transport(IoKind::epoll, 8, clock);
              return made && made->backend == "epoll" && made->reason.empty() ? 0 : 3;
            }),
            0);
}

}  // namespace
}  // namespace purgeline
