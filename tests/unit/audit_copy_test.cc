// What a cache says of its copy, and when that is certain to be too old.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "audit/copy.h"

namespace purgeline::audit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WallTime kNow{seconds(1'800'000'000)};

std::string read_age(const std::string& text) {
  const auto age = parse_age(text);
  return age ? std::to_string(age->count() / 1'000'000) : "-";
}

TEST(AuditCopy, AgesAreSecondsWithOrWithoutAFraction) {
  const std::vector<std::pair<std::string, std::string>> rows{{"0", "0"},
                                                              {"12", "12000"},
                                                              {"12.345", "12345"},
                                                              {"0.0019", "1"},
                                                              {"", "-"},
                                                              {"-1", "-"},
                                                              {"1 ", "-"},
                                                              {"1,2", "-"},
                                                              {".5", "-"},
                                                              {"1.x", "-"},
                                                              {"99999999999999999999", "-"},
                                                              {"1e3", "-"},
                                                              {"1.", "1000"},
                                                              {"inf", "-"}};
  for (const auto& [text, expected] : rows) EXPECT_EQ(read_age(text), expected) << text;
}

TEST(AuditCopy, DatesAreThoseOfHttpOnly) {
  const auto read = [](const char* text) {
    const auto date = parse_http_date(text);
    return date ? date->time_since_epoch() / seconds(1) : -1;
  };
  EXPECT_EQ(read("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(read("Thu, 29 Feb 2024 23:59:60 GMT"), 1709251200);
  for (const char* wrong : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                            "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 6 Nov 1994 08:49:37 GMT ",
                            "Sun, 06 nov 1994 08:49:37 GMT", "Thu, 29 Feb 2023 00:00:00 GMT",
                            "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
                            "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 99x4 08:49:37 GMT"}) {
    EXPECT_EQ(read(wrong), -1) << wrong;
  }
}

Head copy(Duration date_before_now, Duration age) {
  Head head;
  head.status = 200;
  head.date = kNow - date_before_now;
  head.age = age;
  return head;
}

struct Judged {
  const char* why;
  Duration date_ago;  // what Date says
  Duration age;       // what Age says
  Duration changed_ago;
  Duration margin;
  AuditVerdict verdict;
};

TEST(AuditCopy, IsStaleOnlyWhenThatIsCertain) {
  const std::vector<Judged> rows{
      {"made well before", seconds(60), seconds(60), seconds(30), seconds(0), AuditVerdict::stale},
      {"made well after", seconds(10), seconds(10), seconds(30), seconds(0), AuditVerdict::fresh},
      {"Date is floored: it may have been made in the second of the change", seconds(30),
       seconds(30), milliseconds(29'500), seconds(0), AuditVerdict::fresh},
      {"the first moment that is certain", milliseconds(31'001), milliseconds(31'001), seconds(30),
       seconds(0), AuditVerdict::stale},
      {"one that is not", seconds(31), seconds(31), seconds(30), seconds(0), AuditVerdict::fresh},
      {"the origin's clock may be behind", seconds(32), seconds(32), seconds(30), seconds(2),
       AuditVerdict::fresh},
      {"further than it may be", seconds(34), seconds(34), seconds(30), seconds(2),
       AuditVerdict::stale},
      {"an Age that was counted twice makes no copy older than its Date", seconds(20), seconds(40),
       seconds(30), seconds(0), AuditVerdict::fresh},
      {"a Date that is renewed with each answer proves nothing", seconds(0), seconds(60),
       seconds(30), seconds(0), AuditVerdict::fresh},
      {"nor does an old Date with an Age that says it is new", seconds(60), seconds(1), seconds(30),
       seconds(0), AuditVerdict::fresh},
  };
  for (const Judged& row : rows) {
    EXPECT_EQ(judge_copy(copy(row.date_ago, row.age), kNow, kNow - row.changed_ago, row.margin),
              row.verdict)
        << row.why;
  }
  Head head = copy(seconds(60), seconds(60));
  head.date.reset();
  EXPECT_EQ(judge_copy(head, kNow, kNow, seconds(0)), AuditVerdict::undecided);
  head = copy(seconds(60), seconds(60));
  head.age.reset();
  EXPECT_EQ(judge_copy(head, kNow, kNow, seconds(0)), AuditVerdict::undecided);
}

const std::string kHead =
    "HTTP/1.1 200 OK\r\nServer: ATS/9.2.9\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "AGE:  7 \r\nConnection: keep-alive\r\n\r\n";

TEST(AuditHead, IsReadHoweverItIsSplit) {
  for (std::size_t at = 1; at < kHead.size(); ++at) {
    HeadReader reader;
    ASSERT_EQ(reader.add(kHead.substr(0, at)), HeadReader::Step::more) << at;
    ASSERT_EQ(reader.add(kHead.substr(at)), HeadReader::Step::head) << at;
    EXPECT_EQ(reader.head().status, 200);
    EXPECT_EQ(reader.head().server, "ATS/9.2.9");
    EXPECT_EQ(reader.head().age, seconds(7));
    EXPECT_TRUE(reader.head().date && reader.head().keep_alive && !reader.head().extra);
    EXPECT_TRUE(reader.head().has_body) << "it does not say that there is none";
  }
}

TEST(AuditHead, TellsWhatFollowsAndWhoItPassed) {
  const auto read = [](const std::string& text) {
    HeadReader reader;
    EXPECT_EQ(reader.add(text), HeadReader::Step::head) << text;
    return reader.head();
  };
  EXPECT_FALSE(read("HTTP/1.1 204 Purged\r\n\r\n").has_body);
  EXPECT_FALSE(read("HTTP/1.1 504 x\r\nContent-Length: 0\r\n\r\n").has_body);
  EXPECT_TRUE(read("HTTP/1.1 504 x\r\nContent-Length: 3\r\n\r\n").has_body);
  EXPECT_TRUE(read("HTTP/1.1 504 x\r\nContent-Length: 3\r\n\r\nabc").extra);
  EXPECT_FALSE(read("HTTP/1.0 200 OK\r\n\r\n").keep_alive);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n").keep_alive);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nX-Varnish: 3\r\n\r\n").varnish);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nVia: 1.1 h (Varnish/7.1)\r\n\r\n").varnish);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nVia: 1.1 h (ApacheTrafficServer)\r\n\r\n").varnish);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nAge: 9\r\nAge: 4\r\nAge: x\r\n\r\n").age, seconds(4));
  EXPECT_EQ(read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").status, 200);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nX-Purgeline-Audit: copy\r\n\r\n").probe, "copy");
}

TEST(AuditHead, RefusesWhatIsNone) {
  std::string many;
  for (int i = 0; i < 9; ++i) many += "HTTP/1.1 103 x\r\n\r\n";
  for (const std::string& text :
       {std::string("HTTP/2 200 OK\r\n\r\n"), std::string("HTTP/1.1 20x OK\r\n\r\n"),
        std::string("HTTP/1.1 200OK\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\n folded\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        std::string("HTTP/1.1 101 Switch\r\n\r\n"), many, std::string("\r\n\r\n"),
        std::string(HeadReader::kMaxHead + 1, 'x')}) {
    HeadReader reader;
    EXPECT_EQ(reader.add(text), HeadReader::Step::malformed) << text.substr(0, 40);
  }
  HeadReader reader;
  EXPECT_EQ(reader.add(std::string(HeadReader::kMaxHead, 'x')), HeadReader::Step::more);
  EXPECT_EQ(reader.add("x"), HeadReader::Step::malformed) << "a head does not go on for ever";
  HeadReader twice;
  EXPECT_EQ(twice.add(kHead), HeadReader::Step::head);
  EXPECT_EQ(twice.add("x"), HeadReader::Step::malformed) << "nobody asked for more";
  twice.restart();
  EXPECT_EQ(twice.add(kHead), HeadReader::Step::head);
}

}  // namespace
}  // namespace purgeline::audit
