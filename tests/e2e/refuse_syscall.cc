// Runs a program in a sandbox that answers one system call with an error:
// refuse_syscall NUMBER ERRNO PROGRAM [ARGUMENTS].
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: refuse_syscall NUMBER ERRNO PROGRAM [ARGUMENTS]\n");
    return 2;
  }
  const auto number = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  const auto error = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    return 1;
  }
  ::execv(argv[3], argv + 3);
  std::perror(argv[3]);
  return 1;
}
