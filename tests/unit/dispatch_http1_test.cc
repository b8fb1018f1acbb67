// Requests as they are written, and answers cut at every byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dispatch/address.h"
#include "dispatch/http1.h"

namespace purgeline {
namespace {

using testing::ElementsAre;
using namespace std::string_literals;

std::string written(std::string_view host, std::string_view target) {
  std::string out;
  out.reserve(kMaxRequest);
  return write_purge(out, host, target, "purgeline/test") ? out
         : out.empty()                                    ? "refused"
                                                          : "dirty: " + out;
}

TEST(WritePurge, IsOneRequestAndNothingElse) {
  EXPECT_EQ(written("en.example.org", "/wiki/A"),
            "PURGE /wiki/A HTTP/1.1\r\nHost: en.example.org\r\nUser-Agent: purgeline/test\r\n\r\n");
}

TEST(WritePurge, KeepsPrintableBytesAndEncodesTheHigh) {
  std::string printable;
  for (char c = 0x21; c < 0x7f; ++c) printable += c;
  EXPECT_THAT(written("h", printable), testing::StartsWith("PURGE " + printable + " HTTP/1.1\r\n"));
  EXPECT_THAT(written("h", "/%c3%A9\xc3\xa9\xff\x80"),
              testing::StartsWith("PURGE /%c3%A9%C3%A9%FF%80 HTTP/1.1\r\n"));
}

TEST(WritePurge, RefusesWhatCouldSplitARequest) {
  for (int c = 0; c <= 0x7f; ++c) {
    if (c > ' ' && c < 0x7f) continue;
    const std::string bad(1, static_cast<char>(c));
    EXPECT_EQ(written("h", "/a" + bad + "b"), "refused") << c;
    EXPECT_EQ(written("h" + bad, "/a"), "refused") << c;
  }
  EXPECT_EQ(written("h\xc3\xa9", "/a"), "refused");
  EXPECT_EQ(written("", "/a"), "refused");
  EXPECT_EQ(written("h", ""), "refused");
}

TEST(WritePurge, RefusesMoreThanABufferHolds) {
  const std::size_t rest = written("h", "/").size() - 1;
  EXPECT_EQ(written("h", std::string(kMaxRequest - rest, 'x')).size(), kMaxRequest);
  EXPECT_EQ(written("h", std::string(kMaxRequest - rest + 1, 'x')), "refused");
  EXPECT_EQ(written("h", "/" + std::string(kMaxRequest / 3, '\xff')), "refused");
}

TEST(WritePurge, AppendsWithoutAllocating) {
  std::string out;
  out.reserve(2 * kMaxRequest);
  const char* before = out.data();
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(write_purge(out, "h", "/\xc3\xa9", default_user_agent()));
  EXPECT_EQ(out.data(), before);
}

TEST(UserAgent, NamesTheVersion) {
  EXPECT_THAT(std::string(default_user_agent()), testing::StartsWith("purgeline/"));
  EXPECT_GT(default_user_agent().size(), std::string_view("purgeline/").size());
}

// "204 keep", "204 filtered keep", "200 close", "malformed"; what an unfinished answer adds is
// nothing.
std::vector<std::string> parse(std::string_view text, const std::vector<std::size_t>& cuts) {
  std::vector<std::string> answers;
  ResponseParser parser;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : text.size();
    const std::string part(
        text.substr(from, to - from));  // its own memory: reading beyond is found
    std::span<const std::byte> bytes = std::as_bytes(std::span(part));
    from = to;
    while (!bytes.empty()) {
      const ResponseParser::Step step = parser.next(bytes);
      if (step == ResponseParser::Step::more) break;
      if (step == ResponseParser::Step::malformed) {
        answers.push_back("malformed");
        return answers;
      }
      const Answer& answer = parser.answer();
      answers.push_back(std::to_string(answer.status) + (answer.filtered ? " filtered" : "") +
                        (answer.keep_alive ? " keep" : " close"));
    }
  }
  return answers;
}

struct Row {
  const char* name;
  std::string text;
  std::vector<std::string> answers;
};

std::string many(std::size_t count, const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kNext = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const std::vector<std::string> kBad{"malformed"};

const std::vector<Row> kRows{
    {"no content", "HTTP/1.1 204 Purged\r\n\r\n" + kNext, {"204 keep", "404 keep"}},
    {"filtered", "HTTP/1.1 204 Domain not cached here\r\n\r\n", {"204 filtered keep"}},
    {"nearly filtered", "HTTP/1.1 204 Domain not cached here \r\n\r\n", {"204 keep"}},
    {"not modified",
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n" + kNext,
     {"304 keep", "404 keep"}},
    {"length", kOk + "Content-Length: 5\r\n\r\nHTTP/" + kNext, {"200 keep", "404 keep"}},
    {"odd spelling", kOk + "cOnTeNt-LeNgTh:\t 2 \t\r\n\r\nab" + kNext, {"200 keep", "404 keep"}},
    {"same length twice",
     kOk + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab" + kNext,
     {"200 keep", "404 keep"}},
    {"chunked",
     kOk + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"chunk extensions",
     kOk + "Transfer-Encoding: chunked\r\n\r\n1;a=b;c=\"d;e\"\r\nx\r\n00 ;z\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"trailers",
     kOk + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 7\r\nX: y\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"coded and chunked",
     kOk + "Transfer-Encoding: gzip,, Chunked\r\n\r\n0\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"coding lists in two lines",
     kOk + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"coded only", kOk + "Transfer-Encoding: gzip\r\n\r\nabc" + kNext, {"200 close"}},
    {"until close", kOk + "\r\nHTTP/1.1 404 Not Found\r\n\r\n", {"200 close"}},
    {"interim with a length", "HTTP/1.1 102 x\r\nContent-Length: 0\r\n\r\n" + kNext, {"404 keep"}},
    {"as Varnish answers",
     "HTTP/1.1 204 Purged\r\nDate: Tue, 24 Nov 2026 19:00:00 GMT\r\nServer: Varnish\r\nX-Varnish: "
     "32770\r\nVia: 1.1 h (Varnish/7.1)\r\nConnection: keep-alive\r\n\r\n" +
         kNext,
     {"204 keep", "404 keep"}},
    {"tabs in texts",
     kOk + "X: a\tb\r\nContent-Length:\t0\r\n\r\n" + kNext,
     {"200 keep", "404 keep"}},
    {"head of just the limit",
     "HTTP/1.1 204 x\r\nX:" + std::string(ResponseParser::kMaxHead - 22, 'v') + "\r\n\r\n" + kNext,
     {"204 keep", "404 keep"}},
    {"head beyond the limit",
     "HTTP/1.1 204 x\r\nX:" + std::string(ResponseParser::kMaxHead - 21, 'v') + "\r\n\r\n", kBad},
    {"DEL in value", "HTTP/1.1 204 x\r\nX: 1234\x7f\r\n\r\n", kBad},
    {"interim",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + kNext,
     {"404 keep"}},
    {"connection close",
     kOk + "Connection: close\r\nContent-Length: 2\r\n\r\nab" + kNext,
     {"200 close"}},
    {"close among others",
     "HTTP/1.1 204 x\r\nConnection: keep-alive , CLOSE\r\n\r\n",
     {"204 close"}},
    {"close as part of a word", "HTTP/1.1 204 x\r\nConnection: closed\r\n\r\n", {"204 keep"}},
    {"http 1.0", "HTTP/1.0 204 x\r\n\r\n", {"204 close"}},
    {"http 1.0 kept",
     "HTTP/1.0 200 x\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na" + kNext,
     {"200 keep", "404 keep"}},
    {"no reason", "HTTP/1.1 204 \r\n\r\n", {"204 keep"}},
    {"no space before no reason", "HTTP/1.1 204\r\n\r\n", {"204 keep"}},
    {"reason beyond ASCII", "HTTP/1.1 204 Gel\xc3\xb6scht\r\n\r\n", {"204 keep"}},
    {"long reason", "HTTP/1.1 204 " + std::string(5000, 'r') + "\r\n\r\n", {"204 keep"}},
    {"long ignored header",
     "HTTP/1.1 204 x\r\n" + std::string(300, 'n') + ": " + std::string(9000, 'v') + "\r\n\r\n",
     {"204 keep"}},
    {"empty header", "HTTP/1.1 204 x\r\nX:\r\nY: \r\n\r\n", {"204 keep"}},
    {"status beyond 5xx", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", {"999 keep"}},
    // What may mean two things, or nothing.
    {"switching protocols", "HTTP/1.1 101 x\r\n\r\n", kBad},
    {"too many interims", many(9, "HTTP/1.1 100 x\r\n\r\n") + kNext, kBad},
    {"two lengths", kOk + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", kBad},
    {"length list", kOk + "Content-Length: 2, 2\r\n\r\nab", kBad},
    {"negative length", kOk + "Content-Length: -1\r\n\r\n", kBad},
    {"signed length", kOk + "Content-Length: +1\r\n\r\na", kBad},
    {"hexadecimal length", kOk + "Content-Length: 0x1\r\n\r\na", kBad},
    {"empty length", kOk + "Content-Length: \r\n\r\n", kBad},
    {"length beyond 64 bits", kOk + "Content-Length: 99999999999999999999\r\n\r\n", kBad},
    {"length beyond reason", kOk + "Content-Length: 16777217\r\n\r\n", kBad},
    {"length then coding", kOk + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     kBad},
    {"coding then length", kOk + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
     kBad},
    {"chunked twice", kOk + "Transfer-Encoding: chunked, chunked\r\n\r\n", kBad},
    {"chunked not last", kOk + "Transfer-Encoding: chunked, gzip\r\n\r\n", kBad},
    {"empty coding", kOk + "Transfer-Encoding: ,\r\n\r\n", kBad},
    {"long coding", kOk + "Transfer-Encoding: " + std::string(300, 'a') + "\r\n\r\n", kBad},
    {"folded header", kOk + "X: a\r\n b\r\n\r\n", kBad},
    {"folded first line", kOk + " X: a\r\n\r\n", kBad},
    {"bare LF", "HTTP/1.1 204 x\n\n", kBad},
    {"bare LF after header", "HTTP/1.1 204 x\r\nX: y\n\r\n", kBad},
    {"bare CR", "HTTP/1.1 204 x\r\rX: y\r\n\r\n", kBad},
    {"bare LF at the end", "HTTP/1.1 204 x\r\nX: y\r\n\n", kBad},
    {"NUL in reason", "HTTP/1.1 204 a\0b\r\n\r\n"s, kBad},
    {"NUL in value", "HTTP/1.1 204 x\r\nX: a\0b\r\n\r\n"s, kBad},
    {"no header name", "HTTP/1.1 204 x\r\n: a\r\n\r\n", kBad},
    {"space before colon", "HTTP/1.1 204 x\r\nX : a\r\n\r\n", kBad},
    {"no colon", "HTTP/1.1 204 x\r\nHello\r\n\r\n", kBad},
    {"empty line first", "\r\nHTTP/1.1 204 x\r\n\r\n", kBad},
    {"garbage", "hello", kBad},
    {"a request", "GET / HTTP/1.1\r\n\r\n", kBad},
    {"another protocol", "HTTQ/1.1 204 x\r\n\r\n", kBad},
    {"HTTP/2", "HTTP/2.0 204 x\r\n\r\n", kBad},
    {"HTTP/1.2", "HTTP/1.2 204 x\r\n\r\n", kBad},
    {"lower case", "http/1.1 204 x\r\n\r\n", kBad},
    {"two spaces", "HTTP/1.1  204 x\r\n\r\n", kBad},
    {"two digits", "HTTP/1.1 20 x\r\n\r\n", kBad},
    {"four digits", "HTTP/1.1 2044 x\r\n\r\n", kBad},
    {"low status", "HTTP/1.1 099 x\r\n\r\n", kBad},
    {"letters in status", "HTTP/1.1 2o4 x\r\n\r\n", kBad},
    {"TLS alert", "\x15\x03\x01\x00\x02\x02\x50"s, kBad},
    {"chunk without size", kOk + "Transfer-Encoding: chunked\r\n\r\n\r\n", kBad},
    {"chunk size not hexadecimal", kOk + "Transfer-Encoding: chunked\r\n\r\ng\r\n", kBad},
    {"chunk size negative", kOk + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", kBad},
    {"chunk size in two parts", kOk + "Transfer-Encoding: chunked\r\n\r\n3 7\r\nabc\r\n", kBad},
    {"chunk size beyond 64 bits", kOk + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
     kBad},
    {"chunk beyond reason", kOk + "Transfer-Encoding: chunked\r\n\r\n1000001\r\n", kBad},
    {"chunk longer than said", kOk + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", kBad},
    {"chunk ended by LF", kOk + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", kBad},
    {"endless chunk extension",
     kOk + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(2000, 'e') + "\r\n", kBad},
    {"oversized reason", "HTTP/1.1 204 " + std::string(17000, 'r'), kBad},
    {"oversized value", "HTTP/1.1 204 x\r\nX: " + std::string(17000, 'v'), kBad},
    {"oversized name", "HTTP/1.1 204 x\r\n" + std::string(17000, 'n'), kBad},
    {"oversized trailer",
     kOk + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(17000, 'v'), kBad},
    {"too many headers", "HTTP/1.1 204 x\r\n" + many(101, "A: b\r\n") + "\r\n", kBad},
    {"rest after an answer", kNext + "x", {"404 keep", "malformed"}},
};

TEST(ResponseParser, ReadsEveryRowSplitAnywhere) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(parse(row.text, {}), row.answers);
    const std::size_t step = row.text.size() > 2000 ? 97 : 1;
    for (std::size_t cut = 1; cut < row.text.size(); cut += step) {
      ASSERT_EQ(parse(row.text, {cut}), row.answers) << "cut at " << cut;
    }
    std::vector<std::size_t> everywhere;
    for (std::size_t cut = 1; cut < row.text.size(); ++cut) everywhere.push_back(cut);
    EXPECT_EQ(parse(row.text, everywhere), row.answers) << "byte by byte";
  }
}

TEST(ResponseParser, ManyAnswersInOneBuffer) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "HTTP/1.1 200 Purged\r\nContent-Length: 3\r\n\r\nabc";
  EXPECT_EQ(parse(text, {}), std::vector<std::string>(1000, "200 keep"));
}

TEST(ResponseParser, AnUnfinishedAnswerIsNone) {
  for (const char* text :
       {"HTTP/1.1 204 x\r\n\r", "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\na",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r", "HTTP/1."}) {
    EXPECT_THAT(parse(text, {}), ElementsAre()) << text;
  }
}

TEST(ResponseParser, BodiesThatNeverEndAreMalformed) {
  std::string chunks = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 257; ++i) chunks += "10000\r\n" + std::string(65536, 'b') + "\r\n";
  EXPECT_THAT(parse(chunks, {}), ElementsAre("malformed"));
}

TEST(LiteralAddress, Table) {
  using Family = Address::Family;
  const auto family = [](const char* text) {
    const auto address = literal_address(text, 80);
    return address ? address->family : Family::none;
  };
  for (const char* text : {"127.0.0.1", "0.0.0.0", "255.255.255.255"})
    EXPECT_EQ(family(text), Family::inet4) << text;
  for (const char* text : {"::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.1",
                           "1:2:3:4:5:6:192.0.2.1", "1::8", "FE80::1", "1:2:3:4:5:6:7::"}) {
    EXPECT_EQ(family(text), Family::inet6) << text;
  }
  for (const char* text : {"",
                           "localhost",
                           "cache1.example.org",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.04",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "1.2.3.4x",
                           ":",
                           ":::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "1:",
                           ":1",
                           "1:2:3:4:5:6:7:8::",
                           "1.2.3.4::",
                           "::1.2.3",
                           "-1.2.3.4",
                           "+1.2.3.4",
                           "fe80::1%eth0"}) {
    EXPECT_EQ(family(text), Family::none) << text;
  }
  EXPECT_THAT(literal_address("1.2.3.4", 80)->ip, testing::Contains(4));
  const auto v6 = literal_address("2001:db8::ff", 443);
  EXPECT_EQ(v6->ip[0], 0x20);
  EXPECT_EQ(v6->ip[3], 0xb8);
  EXPECT_EQ(v6->ip[15], 0xff);
  EXPECT_EQ(v6->port, 443);
  Endpoint unix_socket;
  unix_socket.unix_path = "/run/x.sock";
  EXPECT_EQ(fixed_address(unix_socket)->family, Family::local);
}

}  // namespace
}  // namespace purgeline
