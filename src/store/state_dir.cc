#include "store/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace purgeline {
namespace {

constexpr mode_t kFolderMode = 0750;  // dead letters hold URLs: not for everybody on the host
constexpr mode_t kLockMode = 0640;

tl::unexpected<Error> refusal(const std::string& what, int system_errno) {
  std::string detail = what + ": " + std::strerror(system_errno);
  if (errno_errc(system_errno) == Errc::permission) {
    detail += "; give user " + std::to_string(geteuid()) +
              " write permission there (chown), or set state_dir to a folder of its own";
  }
  return failure(errno_errc(system_errno), std::move(detail));
}

// The folder's own entry has to be on disk before anything inside it may be called safe.
Status sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Not readable by us: then it is not ours to sync, and it existed before.
  if (fd < 0) return {};
  const int synced = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  // EINVAL: a file system without anything to sync.
  if (synced != 0 && why != EINVAL) return refusal("cannot sync " + path, why);
  return {};
}

// Creates what is missing of `path`, from the root down.
Status make_folder(const std::filesystem::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) return {};
    return failure(Errc::invalid, path.string() + " is not a folder");
  }
  if (errno != ENOENT) return refusal("cannot look at " + path.string(), errno);
  const std::filesystem::path parent =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (parent != path) {
    Status above = make_folder(parent);
    if (!above) return above;
  }
  if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return refusal("cannot create " + path.string(), errno);
  }
  return sync_folder(parent.string());
}

// What the holder of the lock wrote; empty when it has not come to it, or could not (full disk).
std::string holder_of(int fd) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  if (size <= 0) return {};
  const std::string read(text.data(), static_cast<std::size_t>(size));
  return read.substr(0, read.find_first_not_of("0123456789"));
}

Status take_lock(int fd, const std::string& path) {
  int rc = 0;
  do {
    rc = ::flock(fd, LOCK_EX | LOCK_NB);
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) return {};
  if (errno != EWOULDBLOCK) return refusal("cannot lock " + path, errno);
  const std::string pid = holder_of(fd);
  return failure(Errc::exists, path +
                                   " is locked: another purgeline is running with this state_dir" +
                                   (pid.empty() ? std::string() : " (PID " + pid + ")"));
}

// For the other instance's message only. A failure (full disk) must not keep the daemon from
// starting, since the lock holds without it.
void write_pid(int fd) {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(fd, text.data(), text.size(), 0);
}

}  // namespace

Result<StateDir> StateDir::open(const std::string& path) {
  if (path.empty()) return failure(Errc::invalid, "state_dir is empty");
  std::filesystem::path clean = std::filesystem::path(path).lexically_normal();
  if (!clean.has_filename() && clean.has_parent_path()) clean = clean.parent_path();  // "a/" is "a"
  const std::string folder = clean.string();
  Status made = make_folder(clean);
  if (!made) return tl::unexpected<Error>(std::move(made.error()));
  // An existing lock file could be opened in a folder where state.db could not be made.
  if (::faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    return refusal("cannot write to " + folder, errno);
  }
  const std::string lock_path = folder + "/purgeline.lock";
  const int fd = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kLockMode);
  if (fd < 0) return refusal("cannot open " + lock_path, errno);
  Status locked = take_lock(fd, lock_path);
  if (!locked) {
    ::close(fd);
    return tl::unexpected<Error>(std::move(locked.error()));
  }
  write_pid(fd);
  return StateDir(folder, fd);
}

StateDir::~StateDir() {
  if (lock_ < 0) return;
  // The file stays: removing it would let a third instance lock a new one while a second still
  // waits to open this one.
  [[maybe_unused]] const int emptied = ::ftruncate(lock_, 0);
  ::close(lock_);
}

}  // namespace purgeline
