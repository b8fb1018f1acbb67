// The intakes on their sockets, with a journal in memory: what clients really send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "app/intakes.h"
#include "intake/token.h"
#include "unit/control_client.h"
#include "unit/intake_htcp_packet.h"
#include "unit/intake_support.h"

namespace purgeline {
namespace {

using test::htcp_packet;
using test::RawClient;
using testing::HasSubstr;
using testing::StartsWith;

// Writes on a thread's behalf, and lets a test wait for what was written.
class SharedJournal : public JournalWriter {
 public:
  bool append(std::vector<Append> events, Done done) override {
    std::vector<Offset> offsets(events.size());
    {
      const std::lock_guard lock(mutex_);
      for (Append& event : events) written_.push_back(std::move(event));
    }
    changed_.notify_all();
    done(offsets);
    return true;
  }
  [[nodiscard]] bool takes_topic(const std::string&) override { return true; }
  [[nodiscard]] std::string trouble() const override { return ""; }
  std::vector<Append> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20),
                                  [&] { return written_.size() >= count; }));
    return written_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Append> written_;
};

class NoLog : public EventLog {
 public:
  void write(LogLevel /*level*/, std::string_view /*event*/, LogFields /*fields*/) override {}
};

Endpoint endpoint(const std::string& host) {
  return {host + ":0", host, 0, ""};
}

class IntakesTest : public testing::Test {
 protected:
  IntakesTest() {
    config_.http.connections = 16;
    config_.http.idle_timeout = std::chrono::seconds(20);
    config_.http.request_timeout = std::chrono::seconds(20);
    config_.http.purge_topic = "purges";
    config_.htcp.topic = "purges";
    config_.htcp.receive_buffer = 1 << 20;
    std::string name = (std::filesystem::temp_directory_path() / "intakes-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~IntakesTest() override {
    if (thread_.joinable()) {
      boost::asio::post(context_, [this] {
        intakes_->stop();
        context_.stop();
      });
      thread_.join();
    }
    std::filesystem::remove_all(folder_);
  }
  Status start() {
    intakes_.emplace(context_, config_, "1", IntakeSeams{journal_, nullptr, clock_, random_, log_});
    const Status status = intakes_->start();
    if (status) thread_ = std::thread([this] { context_.run(); });
    return status;
  }
  std::string write_token(const std::string& text, unsigned mode = 0640) {
    const std::string path = folder_ + "/token";
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  IntakeConfig config_;
  SharedJournal journal_;
  test::FakeClock clock_;
  test::FakeRandom random_;
  NoLog log_;
  std::string folder_;
  boost::asio::io_context context_{1};
  std::optional<Intakes> intakes_;
  std::thread thread_;
};

TEST_F(IntakesTest, MediaWikisPurgesThroughAProxy) {
  config_.http.listen = {endpoint("127.0.0.1")};
  ASSERT_TRUE(start());
  RawClient client(intakes_->http_addresses().at(0));
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "PURGE http://wiki.example.org/wiki/" + std::to_string(i) +
                " HTTP/1.1\r\nHost: wiki.example.org\r\nUser-Agent: MediaWiki/1.39.17 "
                "CdnCacheUpdate\r\nAccept: */*\r\nConnection: Keep-Alive\r\n"
                "Proxy-Connection: Keep-Alive\r\n\r\n";
  }
  client.send(requests);
  for (int i = 0; i < 20; ++i) {
    const std::string answer = client.read_until("\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("X-Purgeline-Id: "));
    EXPECT_THAT(answer, HasSubstr("Content-Length: 0\r\n"));
  }
  const auto written = journal_.wait_for(20);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(written[static_cast<std::size_t>(i)].value,
                HasSubstr("http://wiki.example.org/wiki/" + std::to_string(i) + "\""));
  }
}

TEST_F(IntakesTest, CurlPostsAndPurges) {
  config_.http.listen = {{"unix", "", 0, folder_ + "/s"}, endpoint("127.0.0.1")};
  ASSERT_TRUE(start());
  const std::string tcp = intakes_->http_addresses().at(1);
  const auto curl = [&](const std::string& arguments) {
    const std::string out = folder_ + "/out";
    const std::string command =
        "curl -sS -o /dev/null -w '%{http_code}' " + arguments + " >" + out + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::string said;
    std::getline(std::ifstream(out) >> std::ws, said);
    return said;
  };
  const std::string event = R"({"meta":{"uri":"http://h/posted","stream":"purges"}})";
  EXPECT_EQ(
      curl("-H content-type:application/json -d '" + event + "' http://" + tcp + "/v1/events"),
      "201");
  EXPECT_EQ(curl("-X PURGE -x http://" + tcp + " http://h/through-a-proxy"), "200");
  EXPECT_EQ(curl("-X PURGE -H 'Host: h' http://" + tcp + "/by-its-host"), "200");
  EXPECT_EQ(curl("-X PURGE --unix-socket " + folder_ + "/s http://h/over-a-socket"), "200");
  EXPECT_EQ(curl("-d '" + event + "' http://" + tcp + "/v1/events"), "415");
  // More than curl sends without asking first.
  std::ofstream large(folder_ + "/large");
  large << "[" << event;
  for (int i = 0; i < 9000; ++i) large << "," << event;
  large << std::string(2 << 20, ' ') << "]";
  large.close();
  EXPECT_EQ(curl("-H content-type:application/json --data-binary @" + folder_ + "/large http://" +
                 tcp + "/v1/events"),
            "201");
  EXPECT_EQ(journal_.wait_for(9005).size(), 9005U);
}

TEST_F(IntakesTest, FromOtherHostsATokenIsNeeded) {
  config_.http.listen = {endpoint("0.0.0.0")};
  config_.http.token_file = write_token("0123456789abcdef\nsecond line\n");
  ASSERT_TRUE(start());
  const std::string address = intakes_->http_addresses().at(0);
  RawClient client("127.0.0.1" + address.substr(address.rfind(':')));
  const std::string request = "PURGE /a HTTP/1.1\r\nHost: h\r\n";
  client.send(request + "\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 401"));
  client.send(request + "Authorization: Bearer 0123456789abcdef\r\n\r\n");
  EXPECT_THAT(client.read_until("X-Purgeline-Id"), HasSubstr("HTTP/1.1 200"));
  EXPECT_EQ(journal_.wait_for(1).size(), 1U);
}

TEST_F(IntakesTest, WhatTheServerRefusesIsCountedToo) {
  config_.http.listen = {endpoint("127.0.0.1")};
  ASSERT_TRUE(start());
  RawClient client(intakes_->http_addresses().at(0));
  client.send("PURGE /a HTTP/1.1\nHost: h\n\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, HasSubstr("application/problem+json"));
  EXPECT_THAT(answer, HasSubstr("LF without CR"));
  std::promise<MetricsSnapshot> promise;
  boost::asio::post(context_, [&] {
    MetricsSnapshot snapshot;
    intakes_->add_metrics(snapshot);
    promise.set_value(snapshot);
  });
  EXPECT_EQ(promise.get_future().get().intake_http.answers[intake_status_index(400)], 1U);
}

TEST_F(IntakesTest, HtcpPacketsReachTheJournal) {
  config_.htcp.listen = {endpoint("127.0.0.1")};
  ASSERT_TRUE(start());
  const std::string address = intakes_->htcp_addresses().at(0);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (std::uint32_t i = 0; i < 300; ++i) {
    const std::string packet = htcp_packet("http://h/" + std::to_string(i), i);
    sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  close(fd);
  const auto written = journal_.wait_for(300);
  ASSERT_EQ(written.size(), 300U);
  EXPECT_THAT(written[299].value, HasSubstr("\"http://h/299\""));
  EXPECT_EQ(written[0].topic, "purges");
}

TEST_F(IntakesTest, StoppingIs503) {
  config_.http.listen = {endpoint("127.0.0.1")};
  ASSERT_TRUE(start());
  RawClient client(intakes_->http_addresses().at(0));
  boost::asio::post(context_, [this] { intakes_->refuse(); });
  client.send("PURGE /a HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
}

TEST_F(IntakesTest, ATokenHasToBeASecret) {
  EXPECT_EQ(*read_token(write_token("0123456789abcdef \r\n")), "0123456789abcdef");
  const auto why = [this](const std::string& text, unsigned mode) {
    const auto token = read_token(write_token(text, mode));
    EXPECT_FALSE(token);
    EXPECT_EQ(token.error().code, Errc::invalid);
    return token.error().detail;
  };
  EXPECT_THAT(why("0123456789abcdef", 0644), HasSubstr("chmod 0640"));
  EXPECT_THAT(why("0123456789abcdef", 0660), HasSubstr("chmod 0640"));
  EXPECT_THAT(why("0123456789abcde", 0640), HasSubstr("15 bytes; a token has 16"));
  EXPECT_THAT(why("", 0640), HasSubstr("0 bytes"));
  EXPECT_THAT(why("0123456789 abcdef", 0640), HasSubstr("visible ASCII"));
  EXPECT_THAT(read_token(folder_ + "/missing").error().detail, HasSubstr("cannot be read"));
  EXPECT_THAT(read_token(folder_).error().detail, HasSubstr("is not a file"));
  // Nobody will ever write to it.
  ASSERT_EQ(mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_THAT(read_token(folder_ + "/fifo").error().detail, HasSubstr("is not a file"));
  EXPECT_EQ(read_token(write_token(std::string(4096, 'x'), 0600))->size(), 4096U);
  EXPECT_THAT(why(std::string(5000, 'x'), 0600), HasSubstr("a token has 16 to 4096"));
  config_.http.listen = {endpoint("127.0.0.1")};
  config_.http.token_file = folder_ + "/missing";
  EXPECT_EQ(start().error().code, Errc::invalid);
}

}  // namespace
}  // namespace purgeline
