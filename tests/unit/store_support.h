// What the tests of the store share: a folder, child processes, a clock, recording listeners.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "purgeline/check.h"
#include "purgeline/clock.h"
#include "purgeline/stores.h"

namespace purgeline::store_test {

// A failing test must end; a passing one never gets near it.
inline constexpr int kPatienceMs = 60'000;

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "purgeline-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    // Children of some tests run as another user and have to get in.
    CHECK(::chmod(path_.c_str(), 0755) == 0);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A forked process. What it writes to `out` is read here; it dies with the test.
class Child {
 public:
  explicit Child(const std::function<void(int out)>& body) {
    std::array<int, 2> ends{};
    CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::close(ends[0]);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    in_ = ends[0];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill();
    ::close(in_);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int in() const { return in_; }

  // One line, without its end.
  std::string line() {
    std::string text;
    char byte = 0;
    while (::read(in_, &byte, 1) == 1 && byte != '\n') text += byte;
    return text;
  }

  void kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_{-1};
  int in_{-1};
};

inline void say(int out, const std::string& text) {
  const std::string line = text + "\n";
  CHECK(::write(out, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

// File modes mean nothing to root: whoever tests them must not be root.
inline void become_nobody() {
  if (::geteuid() != 0) return;
  constexpr unsigned kNobody = 65534;
  CHECK(::setresgid(kNobody, kNobody, kNobody) == 0);
  CHECK(::setresuid(kNobody, kNobody, kNobody) == 0);
}

class HostClock final : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return MonoTime{read(CLOCK_MONOTONIC)}; }
  [[nodiscard]] WallTime wall() const override { return WallTime{read(CLOCK_REALTIME)}; }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override {}

 private:
  static Duration read(clockid_t clock) {
    timespec now{};
    CHECK(::clock_gettime(clock, &now) == 0);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  }
};

// An eventfd as the shard sleeps on it.
class Wake {
 public:
  Wake() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { CHECK(fd_ >= 0); }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  ~Wake() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

  // The number of wakes since the last call, at least one; 0 when none ever came.
  std::uint64_t wait() {
    pollfd entry{fd_, POLLIN, 0};
    if (::poll(&entry, 1, kPatienceMs) != 1) return 0;
    std::uint64_t count = 0;
    return ::read(fd_, &count, sizeof count) == sizeof count ? count : 0;
  }

 private:
  int fd_;
};

struct LetterLog final : DeadLetterListener {
  std::vector<std::uint64_t> kept;
  std::vector<std::string> troubles;
  void on_dead_letter_kept(std::uint64_t ticket) override { kept.push_back(ticket); }
  void on_dead_letter_trouble(const std::string& why) override { troubles.push_back(why); }
};

struct PositionLog final : OffsetStoreListener {
  struct Answer {
    PartitionId partition;
    Offset offset;
    Status status;
  };
  std::vector<std::pair<PartitionId, Result<std::optional<Position>>>> loaded;
  std::vector<Answer> committed;
  void on_loaded(PartitionId partition, Result<std::optional<Position>> position) override {
    loaded.emplace_back(partition, std::move(position));
  }
  void on_committed(PartitionId partition, Offset offset, Status status) override {
    committed.push_back({partition, offset, std::move(status)});
  }
};

inline WallTime wall(std::int64_t ns) {
  return WallTime{Duration{ns}};
}

inline DeadLetter letter(std::uint64_t number) {
  DeadLetter made;
  made.at = wall(static_cast<std::int64_t>(number) + 1'700'000'000'000'000'000);
  made.target = "127.0.0.1:6081";
  made.layer = "frontend";
  made.host = "en.example.org";
  made.path = "/wiki/Page_" + std::to_string(number);
  made.reason = number % 2 == 0 ? "refused" : "exhausted";
  made.status = 400;
  made.attempts = 3;
  made.partition = PartitionName{"resource-purge", 2};
  made.offset = Offset{static_cast<std::int64_t>(number) * 10};
  made.event_id = "event-" + std::to_string(number);
  return made;
}

}  // namespace purgeline::store_test
