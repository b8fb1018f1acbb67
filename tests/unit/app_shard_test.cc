// The shard's life with real seams: it ends in time, whatever its log does.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "app/shard.h"
#include "control/config_load.h"
#include "io/system_clock.h"

namespace purgeline {
namespace {

// Takes connections and bytes, and never answers.
class Silent {
 public:
  Silent() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);  // what is not accepted is connected all the same
    socklen_t size = sizeof in;
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&in), &size), 0);
    port_ = ntohs(in.sin_port);
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] Fd accept() const { return Fd(::accept(listener_.get(), nullptr, nullptr)); }

 private:
  Fd listener_;
  std::uint16_t port_{0};
};

class NoLines final : public EventLog {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

class ShardTest : public ::testing::Test {
 protected:
  ShardTest() {
    char name[] = "/tmp/purgeline-shard-XXXXXX";
    folder_ = ::mkdtemp(name);
    auto store = StoreThread::open(folder_ + "/state.db", store_clock_);
    EXPECT_TRUE(store.has_value());
    store_ = std::move(*store);
    const std::pair<std::string, std::string> text{
        "test", "state_dir: " + folder_ + "\nlog: {kafka: {brokers: ['" + broker_.address() +
                    "'], topics: [t], group: g}}\npurge:\n  drain_grace: 0s\n  layers:\n"
                    "    - {name: backend, targets: ['" +
                    cache_.address() + "']}\n"};
    const ConfigResult result = load_config_texts({&text, 1}, {});
    EXPECT_TRUE(result.config) << format_errors(result.errors);
    config_ = *result.config;
  }
  ~ShardTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::unique_ptr<Shard> shard() {
    return std::make_unique<Shard>(config_, *store_, output_, board_, heartbeat_);
  }

  Silent broker_;
  Silent cache_;
  Config config_;
  std::string folder_;
  SystemClock store_clock_;
  std::unique_ptr<StoreThread> store_;
  LogOutput output_{LogOptions{.level = LogLevel::error}};
  SnapshotBoard board_;
  Heartbeat heartbeat_;
};

// The question after topics waits five seconds for its answer. An end that waited for it would find
// the client ended.
TEST_F(ShardTest, AnEndDoesNotWaitForABrokerThatIsSilent) {
  const auto outlived = [&] {
    auto one = shard();
    EXPECT_TRUE(one->start());
    const Fd asked = broker_.accept();
    char byte = 0;
    EXPECT_EQ(::read(asked.get(), &byte, 1), 1);
    one->stop();
    EXPECT_TRUE(one->wait()) << "nothing was to be committed";
    const std::shared_future<void> closed = one->log_closed();
    const bool open = closed.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
    one.reset();
    closed.wait();  // and it does end, after everything of ours has gone
    return open;
  };
  // The broker is connected to by a thread of its own, which can be faster than the one that asks:
  // then the end is before the question.
  bool seen = false;
  for (int tries = 0; tries < 50 && !seen; ++tries) seen = outlived();
  EXPECT_TRUE(seen) << "no end came before the client's";
}

TEST_F(ShardTest, StopMayComeBeforeDuringAndAfterItsLife) {
  auto one = shard();
  one->stop();
  std::atomic<bool> over{false};
  std::thread stopper([&] {
    while (!over) one->stop();
  });
  ASSERT_TRUE(one->start());
  EXPECT_TRUE(one->wait());
  over = true;
  stopper.join();
  one->stop();
  one->log_closed().wait();
}

}  // namespace
}  // namespace purgeline
