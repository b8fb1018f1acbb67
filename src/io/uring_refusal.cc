#include "io/uring_refusal.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace purgeline {
namespace {

bool under_seccomp() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Seccomp:", 0) == 0) return line.find_first_of("12") != std::string::npos;
  }
  return false;
}

std::string sysctl_value() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  std::string value;
  std::getline(file, value);
  return value;
}

std::string memlock_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return std::to_string(limit.rlim_cur / 1024) + " KiB";
}

}  // namespace

std::string uring_refusal(int error) {
  const std::string sysctl = sysctl_value();
  switch (error) {
    case EPERM:
      if (!sysctl.empty() && sysctl != "0") {
        return "refused by sysctl kernel.io_uring_disabled=" + sysctl;
      }
      if (under_seccomp())
        return "refused by a seccomp filter (EPERM); allow io_uring_setup, io_uring_enter and "
               "io_uring_register";
      return "refused (EPERM)";
    case ENOSYS:
      return under_seccomp()
                 ? "refused by a seccomp filter (ENOSYS), or this kernel has no io_uring"
                 : "this kernel has no io_uring";
    case ENOMEM:
      return "not enough locked memory for the rings (ulimit -l is " + memlock_limit() + ")";
    case EINVAL:
      return "this kernel's io_uring is too old";
    default:
      return std::string("io_uring_setup failed: ") + std::strerror(error);
  }
}

}  // namespace purgeline
