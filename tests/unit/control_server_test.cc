// The admin server on real loopback sockets, spoken to in raw bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "control/admin_server.h"
#include "unit/control_client.h"

namespace purgeline {
namespace {

using test::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Endpoint tcp(const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return {(v6 ? "[" + host + "]" : host) + ":" + std::to_string(port), host, port, ""};
}
Endpoint unix_socket(const std::string& path) {
  return {"unix:" + path, "", 0, path};
}

// A server on a thread of its own. Its handler echoes what it was asked.
class Running {
 public:
  explicit Running(AdminLimits limits = {})
      : server_(
            context_, [](const AdminRequest& request) { return echo(request); }, limits) {}
  ~Running() { stop(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  Status start(const Endpoint& endpoint) {
    Status status = server_.listen(endpoint);
    if (status) {
      thread_ = std::thread([this] { context_.run(); });
    }
    return status;
  }
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(context_, [this] {
      server_.stop();
      context_.stop();
    });
    thread_.join();
  }
  [[nodiscard]] const std::string& address() const { return server_.address(); }

 private:
  static AdminResponse echo(const AdminRequest& request) {
    AdminResponse response;
    if (request.target == "/big") {
      response.body = std::string(4 << 20, 'b');
      return response;
    }
    response.body = "<" + std::string(request.method) + " " + std::string(request.target) + ">";
    if (request.method == "POST") {
      response.status = 405;
      response.allow = "GET, HEAD";
    }
    return response;
  }

  boost::asio::io_context context_{1};
  AdminServer server_;
  std::thread thread_;
};

std::string get(const std::string& target, const char* more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}
const char* const kClose = "Connection: close\r\n";

struct AdminServerTest : ::testing::Test {
  Running server;
  void SetUp() override { ASSERT_TRUE(server.start(tcp("127.0.0.1", 0))); }
  // Everything that comes back until the server closes.
  std::string exchange(const std::string& bytes) {
    RawClient client(server.address());
    EXPECT_TRUE(client.connected());
    EXPECT_TRUE(client.send(bytes));
    return client.read_all();
  }
};

TEST_F(AdminServerTest, AnswersAGet) {
  const std::string answer = exchange(get("/a?b", kClose));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 10\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n<GET /a?b>"));
}

TEST_F(AdminServerTest, AnswersPipelinedRequestsInOrder) {
  std::string requests;
  for (int i = 0; i < 500; ++i) requests += get("/" + std::to_string(i));
  requests += get("/last", kClose);
  RawClient client(server.address());
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 500; ++i) {
    const std::string want = "<GET /" + std::to_string(i) + ">";
    ASSERT_THAT(client.read_until(">"), ::testing::EndsWith("\r\n\r\n" + want));
  }
  EXPECT_THAT(client.read_all(), HasSubstr("<GET /last>"));
}

TEST_F(AdminServerTest, HeadHasTheLengthAndNoBody) {
  RawClient client(server.address());
  ASSERT_TRUE(client.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + get("/b", kClose)));
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 9\r\n"));
  // The next answer follows at once.
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(AdminServerTest, PassesOtherMethodsOnAndTheirAllow) {
  const std::string answer = exchange("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST_F(AdminServerTest, RefusesAndCloses) {
  struct Row {
    const char* what;
    std::string bytes;
    const char* answer;
  };
  const std::string huge(9000, 'h');
  const Row rows[] = {
      {"a long header", get("/", ("A: " + huge + "\r\n").c_str()), "HTTP/1.1 431 "},
      {"a long target", get("/" + huge), "HTTP/1.1 431 "},
      {"a header without end", "GET / HTTP/1.1\r\nA: " + std::string(60000, 'h'), "HTTP/1.1 431 "},
      {"a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 413 "},
      {"a chunked body",
       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
       "HTTP/1.1 413 "},
      {"a huge body announced", "PUT / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
       "HTTP/1.1 413 "},
      {"no HTTP", "\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400 "},
      {"another version", "GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 400 "},
      {"a bad field", "GET / HTTP/1.1\r\nA b: c\r\n\r\n", "HTTP/1.1 400 "},
      {"two lengths", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
       "HTTP/1.1 400 "},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    RawClient client(server.address());
    ASSERT_TRUE(client.send(row.bytes));
    EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith(row.answer));
    EXPECT_THAT(client.read_all(), Not(HasSubstr("HTTP/1.1 ")));  // the reason, then the end
  }
  EXPECT_THAT(exchange(get("/a", kClose)), HasSubstr("<GET /a>"));
}

TEST_F(AdminServerTest, SurvivesClientsThatGoAtAnyMoment) {
  const std::string request = get("/a");
  for (std::size_t cut = 0; cut <= request.size(); ++cut) {
    RawClient client(server.address());
    ASSERT_TRUE(cut == 0 || client.send(request.substr(0, cut)));
  }
  EXPECT_THAT(exchange(get("/a", kClose)), HasSubstr("<GET /a>"));
}

TEST_F(AdminServerTest, StopClosesWhatIsOpen) {
  RawClient client(server.address());
  ASSERT_TRUE(client.send(get("/a")));
  EXPECT_THAT(client.read_until(">"), HasSubstr("<GET /a>"));
  server.stop();
  EXPECT_EQ(client.read_all(), "");
}

TEST(AdminServerLimits, ASlowClientIsCut) {
  AdminLimits limits;
  limits.idle = std::chrono::milliseconds(100);
  Running server(limits);
  ASSERT_TRUE(server.start(tcp("127.0.0.1", 0)));
  RawClient silent(server.address());
  RawClient slow(server.address());
  ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHost:"));
  EXPECT_EQ(slow.read_all(), "");
  EXPECT_EQ(silent.read_all(), "");
}

TEST(AdminServerLimits, ASlowClientDoesNotHoldUpAnother) {
  Running server;
  ASSERT_TRUE(server.start(tcp("127.0.0.1", 0)));
  RawClient slow(server.address());
  ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHost:"));
  RawClient quick(server.address());
  ASSERT_TRUE(quick.send(get("/q", kClose)));
  EXPECT_THAT(quick.read_all(), HasSubstr("<GET /q>"));
}

TEST(AdminServerLimits, OneThatDoesNotReadIsCut) {
  AdminLimits limits;
  limits.idle = std::chrono::milliseconds(300);
  limits.connections = 1;
  Running server(limits);
  ASSERT_TRUE(server.start(tcp("127.0.0.1", 0)));
  RawClient lazy(server.address());
  ASSERT_TRUE(lazy.send(get("/big")));
  // With one place only, this one is served when the other has been cut.
  RawClient next(server.address());
  ASSERT_TRUE(next.send(get("/next", kClose)));
  EXPECT_THAT(next.read_all(), HasSubstr("<GET /next>"));
}

TEST(AdminServerLimits, ConnectionsBeyondTheLimitWaitForAPlace) {
  AdminLimits limits;
  limits.connections = 2;
  limits.idle = std::chrono::minutes(5);
  Running server(limits);
  ASSERT_TRUE(server.start(tcp("127.0.0.1", 0)));
  auto first = std::make_unique<RawClient>(server.address());
  RawClient second(server.address());
  for (RawClient* client : {first.get(), &second}) {
    ASSERT_TRUE(client->send(get("/a")));
    EXPECT_THAT(client->read_until(">"), HasSubstr("<GET /a>"));
  }
  RawClient third(server.address());
  ASSERT_TRUE(third.connected());
  ASSERT_TRUE(third.send(get("/third", kClose)));
  first.reset();
  EXPECT_THAT(third.read_all(), HasSubstr("<GET /third>"));
}

TEST(AdminServerListen, OnIPv6AndANameAndAUnixSocket) {
  const std::string path = ::testing::TempDir() + "purgeline_admin_" + std::to_string(getpid());
  for (const Endpoint& endpoint : {tcp("::1", 0), tcp("localhost", 0), unix_socket(path)}) {
    SCOPED_TRACE(endpoint.text);
    Running server;
    const Status status = server.start(endpoint);
    ASSERT_TRUE(status) << status.error().detail;
    RawClient client(server.address());
    ASSERT_TRUE(client.connected()) << server.address();
    ASSERT_TRUE(client.send(get("/x", kClose)));
    EXPECT_THAT(client.read_all(), HasSubstr("<GET /x>"));
  }
  struct stat status {};
  EXPECT_NE(lstat(path.c_str(), &status), 0) << "the socket file is left behind";
}

TEST(AdminServerListen, AnAddressInUseIsNamed) {
  Running first;
  ASSERT_TRUE(first.start(tcp("127.0.0.1", 0)));
  const auto port = std::stoi(first.address().substr(first.address().rfind(':') + 1));
  Running second;
  const Status status = second.start(tcp("127.0.0.1", static_cast<std::uint16_t>(port)));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::exists);
  EXPECT_EQ(status.error().detail, "cannot listen on " + first.address() + ": it is in use");
}

TEST(AdminServerListen, AUnixSocketInUseIsKeptAndAStaleOneReplaced) {
  const std::string path = ::testing::TempDir() + "purgeline_admin2_" + std::to_string(getpid());
  {
    // Bound and closed without unlink: what a killed process leaves.
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    close(fd);
  }
  Running first;
  ASSERT_TRUE(first.start(unix_socket(path)));
  Running second;
  const Status status = second.start(unix_socket(path));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().detail, "cannot listen on unix:" + path + ": it is in use");
  second.stop();
  RawClient client(first.address());
  ASSERT_TRUE(client.send(get("/x", kClose)));
  EXPECT_THAT(client.read_all(), HasSubstr("<GET /x>"));
}

TEST(AdminServerListen, WhatCannotBeListenedOnIsSaid) {
  const std::string file = ::testing::TempDir() + "purgeline_file_" + std::to_string(getpid());
  std::ofstream(file) << "precious";
  struct Row {
    Endpoint endpoint;
    std::string detail;
  };
  const Row rows[] = {
      {tcp("192.0.2.1", 1), "192.0.2.1:1"},
      {tcp("no-such-host.invalid", 1), "no-such-host.invalid:1: the name does not resolve"},
      {unix_socket("/no/such/folder/s"), "unix:/no/such/folder/s: No such file or directory"},
      {unix_socket("/" + std::string(200, 'p')), "the path is too long"},
      {unix_socket(file), file + ": it is in use"},  // a file that is no socket is not removed
  };
  for (const Row& row : rows) {
    Running server;
    const Status status = server.start(row.endpoint);
    ASSERT_FALSE(status) << row.endpoint.text;
    EXPECT_THAT(status.error().detail, StartsWith("cannot listen on "));
    EXPECT_THAT(status.error().detail, HasSubstr(row.detail));
  }
  std::ifstream kept(file);
  std::string word;
  EXPECT_TRUE(kept >> word);
  EXPECT_EQ(word, "precious");
  unlink(file.c_str());
}

}  // namespace
}  // namespace purgeline
