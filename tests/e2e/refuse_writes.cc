// Preloaded into the daemon: writes and syncs of its journal fail with the error number that a
// shared file holds, 0 for none, as on a disk that breaks or that the kernel makes read-only while
// files are open. No mount can be made read-only under an open file.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

std::int64_t error_now() {
  static const std::atomic<std::int64_t>* const number = []() -> std::atomic<std::int64_t>* {
    const char* path = std::getenv("PURGELINE_TEST_REFUSE_WRITES");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    return page == MAP_FAILED ? nullptr : static_cast<std::atomic<std::int64_t>*>(page);
  }();
  return number == nullptr ? 0 : number->load();
}

// Sets errno when this file's writes fail now.
bool fails(int fd) {
  const std::int64_t number = error_now();
  if (number == 0) return false;
  std::array<char, 512> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size <= 0) return false;
  const std::string_view name(path.data(), static_cast<std::size_t>(size));
  if (name.find("/journal.db") == std::string_view::npos) return false;
  errno = static_cast<int>(number);
  return true;
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  using Pwrite = ssize_t (*)(int, const void*, size_t, off64_t);
  static const auto next = real<Pwrite>("pwrite64");
  return fails(fd) ? -1 : next(fd, data, size, offset);
}

extern "C" int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return fails(fd) ? -1 : next(fd);
}

extern "C" int ftruncate64(int fd, off64_t size) noexcept {
  static const auto next = real<int (*)(int, off64_t)>("ftruncate64");
  return fails(fd) ? -1 : next(fd, size);
}
