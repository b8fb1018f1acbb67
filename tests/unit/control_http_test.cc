// The HTTP server under the admin pages and the intake: framing, limits, answers that come late.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "control/http_framing.h"
#include "control/http_server.h"
#include "unit/control_client.h"

namespace purgeline {
namespace {

using test::RawClient;
using testing::HasSubstr;
using testing::StartsWith;

struct FramingRow {
  const char* header;
  const char* problem;  // "" for a good one
};

const std::vector<FramingRow> kFraming{
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ""},
    {"PURGE http://h/ HTTP/1.1\r\nHost:h\r\nX-Y: \t a b \r\nEmpty:\r\n\r\n", ""},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", ""},
    {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", ""},
    {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "together"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 1\r\n\r\n", "together"},
    {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "two Content-Length"},
    {"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "not one number"},
    {"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "not one number"},
    {"POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", "not one number"},
    {"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "not one number"},
    {"POST / HTTP/1.1\r\nContent-Length: 1234567890123456789\r\n\r\n", "not one number"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "is not chunked"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", "is not chunked"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "two "},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "before HTTP/1.1"},
    {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "two Host"},
    {"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "folded"},
    {"GET / HTTP/1.1\r\n A: b\r\n\r\n", "folded"},
    {"GET / HTTP/1.1\nHost: h\n\n", "LF without CR"},
    {"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", "LF without CR"},
    {"GET / HTTP/1.1\r\nHost: h\r\n\n", "LF without CR"},
    {"GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", "CR without LF"},
    {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "a name, a colon"},
    {"GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n", "a name, a colon"},
    {"GET / HTTP/1.1\r\n: h\r\n\r\n", "a name, a colon"},
    {"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a name, a colon"},
    {"\r\nGET / HTTP/1.1\r\n\r\n", "empty line"},
};

TEST(Framing, WhatParsersDifferInIsRefused) {
  for (const FramingRow& row : kFraming) {
    const std::string header = row.header;
    SCOPED_TRACE(header);
    // In one piece, and byte by byte.
    HeaderScanner whole;
    HeaderScanner dripping;
    const auto state = whole.scan(header);
    auto dripped = HeaderScanner::State::more;
    for (std::size_t size = 1; size <= header.size(); ++size) {
      if (dripped == HeaderScanner::State::more) dripped = dripping.scan(header.substr(0, size));
    }
    EXPECT_EQ(state, dripped);
    EXPECT_EQ(whole.problem(), dripping.problem());
    if (row.problem[0] == '\0') {
      EXPECT_EQ(state, HeaderScanner::State::complete) << whole.problem();
    } else {
      EXPECT_EQ(state, HeaderScanner::State::bad);
      EXPECT_THAT(whole.problem(), HasSubstr(row.problem));
    }
  }
  HeaderScanner nul;
  EXPECT_EQ(nul.scan(std::string_view("GET /\0 HTTP/1.1\r\n", 17)), HeaderScanner::State::bad);
}

HttpResponse refuse(unsigned status, std::string_view reason) {
  return {status, "text/plain", std::string(reason) + "\n", {}, true};
}

// A server on a thread of its own.
class HttpServerTest : public testing::Test {
 protected:
  ~HttpServerTest() override { stop(); }

  void serve(HttpHandler handler, HttpLimits limits) {
    server_.emplace(context_, std::move(handler), refuse, limits);
    const Status status = server_->listen({"127.0.0.1:0", "127.0.0.1", 0, ""});
    ASSERT_TRUE(status) << status.error().detail;
    thread_ = std::thread([this] { context_.run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(context_, [this] {
      server_->stop();
      context_.stop();
    });
    thread_.join();
  }
  [[nodiscard]] std::string address() const { return server_->addresses().at(0); }

  boost::asio::io_context context_{1};
  std::optional<HttpServer> server_;
  std::thread thread_;
};

void echo(const HttpRequest& request, const HttpReply& reply) {
  reply({200, "text/plain", request.method + " " + request.target + " " + request.body, {}, false});
}

HttpLimits with_bodies() {
  HttpLimits limits;
  limits.body = 1000;
  limits.idle = std::chrono::seconds(20);
  limits.request = std::chrono::seconds(20);
  return limits;
}

TEST_F(HttpServerTest, BadFramingIs400AndClosed) {
  serve(echo, with_bodies());
  for (const FramingRow& row : kFraming) {
    if (row.problem[0] == '\0') continue;
    SCOPED_TRACE(row.header);
    RawClient client(address());
    client.send(std::string(row.header) + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = client.read_all();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(answer, HasSubstr(row.problem));
    EXPECT_EQ(answer.find("smuggled"), std::string::npos);
  }
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  serve(echo, with_bodies());
  RawClient client(address());
  client.send(
      "PURGE http://h/1 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n"
      "GET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string answers = client.read_all();
  std::size_t at = 0;
  for (const char* part : {"PURGE http://h/1 ", "POST /2 abc", "POST /3 xy", "GET /4 "}) {
    at = answers.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << " in " << answers;
  }
}

TEST_F(HttpServerTest, ALargeBodyIsRefusedBeforeItIsSent) {
  serve(echo, with_bodies());
  for (const char* length : {"Content-Length: 1001", "Transfer-Encoding: chunked"}) {
    RawClient client(address());
    client.send("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(length) + "\r\n\r\n3e9\r\n" +
                std::string(1001, 'x'));
    EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413"));
  }
  RawClient client(address());
  client.send("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpServerTest, AClientThatAsksBeforeItSendsIsAnswered) {
  serve(echo, with_bodies());
  RawClient client(address());
  client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_THAT(client.read_until("POST / hi"), StartsWith("HTTP/1.1 200"));
  RawClient large(address());
  large.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
  EXPECT_THAT(large.read_all(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, SlowAndSilentClientsAreCutOff) {
  HttpLimits limits = with_bodies();
  limits.request = std::chrono::milliseconds(50);
  limits.idle = std::chrono::milliseconds(50);
  serve(echo, limits);
  RawClient silent(address());
  EXPECT_EQ(silent.read_all(), "");
  RawClient slow(address());
  slow.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh");
  EXPECT_EQ(slow.read_all(), "");
  RawClient header(address());
  header.send("POST / HT");
  EXPECT_EQ(header.read_all(), "");
}

TEST_F(HttpServerTest, MoreClientsThanPlacesWaitForOne) {
  HttpLimits limits = with_bodies();
  limits.connections = 1;
  serve(echo, limits);
  std::optional<RawClient> first(std::in_place, address());
  first->send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(first->read_until("GET /1 "), StartsWith("HTTP/1.1 200"));
  RawClient second(address());
  second.send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  first->send("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(first->read_until("GET /3 "), StartsWith("HTTP/1.1 200"));
  first.reset();
  EXPECT_THAT(second.read_until("GET /2 "), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AReplyMayComeLater) {
  std::promise<HttpReply> asked;
  serve([&asked](const HttpRequest&, HttpReply reply) { asked.set_value(std::move(reply)); },
        with_bodies());
  RawClient client(address());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const HttpReply reply = asked.get_future().get();
  boost::asio::post(context_, [&reply] {
    reply({201, "", "", {{"X-A", "b"}}, false});
    reply({500, "", "a second reply changes nothing", {}, false});
  });
  const std::string answer = client.read_until("\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 201"));
  EXPECT_THAT(answer, HasSubstr("X-A: b\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 0\r\n"));
  stop();
}

TEST_F(HttpServerTest, WithoutAReplyInTimeItIs504) {
  HttpLimits limits = with_bodies();
  limits.answer = std::chrono::milliseconds(50);
  std::vector<HttpReply> kept;
  serve([&kept](const HttpRequest&, HttpReply reply) { kept.push_back(std::move(reply)); }, limits);
  RawClient client(address());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 504"));
  std::promise<void> replied;
  boost::asio::post(context_, [&] {
    kept.at(0)({200, "", "too late", {}, false});
    kept.clear();
    replied.set_value();
  });
  replied.get_future().wait();
}

}  // namespace
}  // namespace purgeline
