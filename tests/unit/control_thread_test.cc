// The control thread with real signals and sockets, and the service manager's protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>

#include "control/control_thread.h"
#include "support/fake_clock.h"
#include "unit/control_client.h"

namespace purgeline {
namespace {

using std::chrono::seconds;
using test::RawClient;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Stands for the service manager: a datagram socket that is listened to.
class Manager {
 public:
  explicit Manager(bool abstract = false) {
    path_ =
        (abstract ? "@" : ::testing::TempDir()) + "purgeline_notify_" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    if (abstract) address.sun_path[0] = '\0';
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  ~Manager() {
    close(fd_);
    if (path_[0] == '/') unlink(path_.c_str());
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  [[nodiscard]] const char* path() const { return path_.c_str(); }
  [[nodiscard]] std::string next() const {
    char buffer[4096];
    const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
    return got < 0 ? "nothing came" : std::string(buffer, static_cast<std::size_t>(got));
  }
  // Reads on until one starts with `word`.
  [[nodiscard]] std::string next_like(const std::string& word) const {
    std::string message = next();
    while (!message.starts_with(word) && message != "nothing came") message = next();
    return message;
  }

 private:
  std::string path_;
  int fd_;
};

TEST(Supervisor, SendsTheProtocolsWords) {
  for (const bool abstract : {false, true}) {
    const Manager manager(abstract);
    const Supervisor supervisor(manager.path(), nullptr, nullptr);
    EXPECT_TRUE(supervisor.ready());
    EXPECT_TRUE(supervisor.reloading());
    EXPECT_TRUE(supervisor.stopping());
    EXPECT_TRUE(supervisor.watchdog());
    EXPECT_TRUE(supervisor.status("lag 0.2 s"));
    for (const char* word :
         {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "STATUS=lag 0.2 s"}) {
      EXPECT_EQ(manager.next(), word);
    }
  }
}

TEST(Supervisor, SaysNothingWhereNobodyListens) {
  EXPECT_FALSE(Supervisor().ready());
  const std::string long_path = "/" + std::string(200, 'p');
  for (const char* path : {"", "/", "relative", "/no/such/socket", long_path.c_str()}) {
    EXPECT_FALSE(Supervisor(path, nullptr, nullptr).ready()) << path;
  }
}

TEST(Supervisor, ReadsTheWatchdogsInterval) {
  const std::string own = std::to_string(getpid());
  struct Row {
    const char* usec;
    const char* pid;
    std::optional<Duration> interval;
  };
  const Row rows[] = {
      {nullptr, nullptr, {}},
      {"30000000", nullptr, seconds(30)},
      {"30000000", own.c_str(), seconds(30)},
      {"30000000", "1", {}},
      {"0", nullptr, {}},
      {"-5", nullptr, {}},
      {"5 s", nullptr, {}},
      {"", nullptr, {}},
      {"99999999999999999999", nullptr, {}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Supervisor("/x", row.usec, row.pid).watchdog_interval(), row.interval);
  }
}

class Lines : public EventLog {
 public:
  void write(LogLevel level, std::string_view event, LogFields fields) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(format_line(LogFormat::text, level, event, fields));
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// A clock that stands at a time which the test sets from its own thread.
class SharedClock : public Clock {
 public:
  explicit SharedClock(const std::atomic<std::int64_t>& seconds_now) : seconds_(seconds_now) {}
  [[nodiscard]] MonoTime now() const override { return MonoTime(seconds(seconds_.load())); }
  [[nodiscard]] WallTime wall() const override { return WallTime(seconds(seconds_.load())); }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override {}

 private:
  const std::atomic<std::int64_t>& seconds_;
};

struct ControlTest : ::testing::Test {
  SnapshotBoard board;
  Heartbeat heart;
  Lines log;
  std::atomic<std::int64_t> time{1000};
  std::promise<int> stop_signal;
  std::promise<void> reloaded;
  std::unique_ptr<ControlThread> control;

  static Endpoint loopback() { return {"127.0.0.1:0", "127.0.0.1", 0, ""}; }

  void make(ControlOptions options) {
    options.build = {"0.1.0", "abc", "g++"};
    ControlCallbacks callbacks;
    callbacks.on_stop = [this](int signal) {
      stop_signal.set_value(signal);
    };
    callbacks.on_reload = [this] {
      reloaded.set_value();
    };
    callbacks.process = [] {
      ProcessMetrics process;
      process.log_lines_dropped = 42;
      return process;
    };
    control = std::make_unique<ControlThread>(
        std::move(options), board, heart, log,
        [this] { return std::make_unique<SharedClock>(time); }, std::move(callbacks));
  }
  std::string get(const std::string& target) {
    RawClient client(control->address());
    EXPECT_TRUE(client.send("GET " + target + " HTTP/1.0\r\n\r\n"));
    return client.read_all();
  }
};

TEST_F(ControlTest, ServesTheShardsStateOfTheMoment) {
  make({.listen = loopback()});
  ASSERT_TRUE(control->start());
  EXPECT_THAT(get("/readyz"), HasSubstr("nothing published yet"));
  MetricsSnapshot snapshot;
  snapshot.shard.turns = 17;
  snapshot.ready = {{"kafka", true, ""}};
  snapshot.refused = std::make_shared<const std::vector<RefusedInput>>(
      1, RefusedInput{RejectReason::not_json, {"t", 1}, Offset(5), WallTime{}, "hello", 5});
  snapshot.refused_ever = 1;
  board.publish(snapshot);
  heart.beat(MonoTime(seconds(1000)), MonoTime(seconds(1001)));
  EXPECT_THAT(get("/rejects"), HasSubstr("\"reason\":\"not_json\",\"topic\":\"t\""));
  EXPECT_THAT(get("/rejects"), HasSubstr("\"begins\":\"hello\"}"));
  EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(get("/metrics"), HasSubstr("\npurgeline_loop_turns_total 17\n"));
  EXPECT_THAT(get("/metrics"), HasSubstr("\npurgeline_log_lines_dropped_total 42\n"));
  EXPECT_THAT(get("/metrics"), HasSubstr("\npurged_udp_bytes_read_total 0\n"));
  control->set_compat(MetricsCompat::off);
  EXPECT_THAT(get("/metrics"), ::testing::Not(HasSubstr("\npurged_")));
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 "));
  time = 1007;
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(get("/healthz"), HasSubstr("the loop has not turned for 6.0 s"));
  control->stop();
  EXPECT_THAT(log.lines(), ::testing::Contains(StartsWith("level=info event=\"admin address\"")));
}

TEST_F(ControlTest, AnAddressInUseStopsTheStart) {
  make({.listen = loopback()});
  ASSERT_TRUE(control->start());
  const std::string taken = control->address();
  const auto port = static_cast<std::uint16_t>(std::stoi(taken.substr(taken.rfind(':') + 1)));
  ControlOptions options{.listen = Endpoint{taken, "127.0.0.1", port, ""}};
  options.signals = false;
  ControlThread second(std::move(options), board, heart, log,
                       [this] { return std::make_unique<SharedClock>(time); }, {});
  const Status status = second.start();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().detail, HasSubstr(taken));
}

TEST_F(ControlTest, SignalsBecomeCallbacksAndWordsToTheManager) {
  const Manager manager;
  make({.supervisor = Supervisor(manager.path(), nullptr, nullptr)});
  ASSERT_TRUE(control->start());
  EXPECT_EQ(control->address(), "");
  kill(getpid(), SIGHUP);
  reloaded.get_future().wait();
  EXPECT_EQ(manager.next_like("RELOADING"), "RELOADING=1");
  EXPECT_EQ(manager.next_like("READY"), "READY=1");
  kill(getpid(), SIGTERM);
  EXPECT_EQ(stop_signal.get_future().get(), SIGTERM);
  EXPECT_EQ(manager.next_like("STOPPING"), "STOPPING=1");
  control->stop();
  control->stop();
}

TEST_F(ControlTest, TheWatchdogHearsOnlyOfAShardThatTurns) {
  const Manager manager;
  heart.beat(MonoTime(seconds(1000)), MonoTime(seconds(1000)));
  make({.supervisor = Supervisor(manager.path(), "30000", nullptr), .signals = false});
  ASSERT_TRUE(control->start());
  EXPECT_EQ(manager.next(), "READY=1");  // the shard turns
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  EXPECT_THAT(manager.next(), StartsWith("STATUS=not ready: started"));
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  time = 1100;
  EXPECT_THAT(manager.next_like("STATUS="), HasSubstr("loop (the loop has not turned"));
  // Blocked: no word of the watchdog until the shard turns again.
  heart.beat(MonoTime(seconds(1100)), MonoTime(seconds(1100)));
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  EXPECT_THAT(manager.next(), StartsWith("STATUS=not ready: started"));
  control->stop();
  EXPECT_THAT(log.lines(), ::testing::Contains(StartsWith("level=error event=\"loop blocked\"")));
  EXPECT_THAT(log.lines(),
              ::testing::Contains(StartsWith("level=info event=\"loop turns again\"")));
}

TEST_F(ControlTest, AProcessThatStoodStillIsNotAborted) {
  const Manager manager;
  heart.beat(MonoTime(seconds(1000)), MonoTime(seconds(1000)));
  make({.supervisor = Supervisor(manager.path(), "30000", nullptr), .signals = false});
  ASSERT_TRUE(control->start());
  EXPECT_THAT(manager.next_like("STATUS="), HasSubstr("started"));
  time = 1100;  // by far more than blocked_after and abort_after
  EXPECT_THAT(manager.next_like("STATUS="), HasSubstr("has not turned for 100.0 s"));
  for (const int later : {2000, 3000, 4000}) {
    time = later;
    EXPECT_THAT(manager.next(), HasSubstr(std::to_string(later - 1000) + ".0 s"))
        << "and not a word of the watchdog";
  }
  heart.beat(MonoTime(seconds(4000)), MonoTime(seconds(4000)));
  EXPECT_EQ(manager.next_like("WATCHDOG"), "WATCHDOG=1");
  control->stop();
}

TEST_F(ControlTest, AShardThatHasEndedOwesNoTurn) {
  const Manager manager;
  heart.beat(MonoTime(seconds(1000)), MonoTime(seconds(1000)));
  make({.supervisor = Supervisor(manager.path(), "30000", nullptr), .signals = false});
  ASSERT_TRUE(control->start());
  heart.end();
  EXPECT_EQ(manager.next_like("WATCHDOG"), "WATCHDOG=1");
  time = 1100;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(manager.next_like("WATCHDOG"), "WATCHDOG=1");
  control->stop();
  EXPECT_THAT(log.lines(), ::testing::Not(::testing::Contains(HasSubstr("loop blocked"))));
}

}  // namespace
}  // namespace purgeline
