#include "route/route.h"

#include <gtest/gtest.h>

#include "support/allocations.h"

namespace purgeline {
namespace {

using Patterns = std::vector<std::string>;
using std::chrono::seconds;

struct HostRow {
  Patterns allow;
  Patterns deny;
  const char* host;
  bool allowed;
};

TEST(Hosts, Table) {
  for (const HostRow& row : std::vector<HostRow>{
           {{}, {}, "any.example", true},
           {{"a.example"}, {}, "a.example", true},
           {{"A.Example"}, {}, "a.example", true},
           {{"a.example"}, {}, "b.a.example", false},
           {{"a.example"}, {}, "a.example:8080", true},
           {{"*.example.org"}, {}, "en.example.org", true},
           {{"*.example.org"}, {}, "en.m.example.org", true},
           {{"*.example.org"}, {}, "example.org", false},
           {{"*.example.org"}, {}, "badexample.org", false},
           {{"*.example.org"}, {}, ".example.org", false},
           {{"*.example.org"}, {"en.example.org"}, "en.example.org", false},
           {{}, {"*.example.org"}, "en.example.org", false},
           {{}, {"*.example.org"}, "other.org", true},
           {{"/(en|de)[.]example[.]org/"}, {}, "de.example.org", true},
           {{"/(en|de)[.]example[.]org/"}, {}, "xde.example.org", false},
           {{"/e/"}, {}, "een", false},
           {{"[::1]"}, {}, "[::1]", true},
           {{"[::1]"}, {}, "[::1]:81", true},
           {{"[2001:DB8::1]"}, {}, "[2001:db8::1]", true},
           {{"/EN[.]Example[.]org/"}, {}, "en.example.org", true},
       }) {
    SCOPED_TRACE(row.host);
    const auto matcher = HostMatcher::make(row.allow, row.deny);
    ASSERT_TRUE(matcher.has_value()) << matcher.error().detail;
    EXPECT_EQ(matcher->allows(row.host), row.allowed);
  }
}

TEST(Hosts, BadPatternsSayWhichAndWhy) {
  for (const auto& [pattern, words] : std::vector<std::pair<std::string, std::string>>{
           {"/(?!upload).*/", "RE2 has no look-around"},
           {"/(/", "missing"},
           {"a.*.example", "neither a host"},
           {"", "neither a host"},
           {"*.", "neither a host"},
           {"http://a.example", "neither a host"},
           {".a.example", "neither a host"},
           {"a..example", "neither a host"},
           {"[::1", "neither a host"},
           {"//", "neither a host"},
           {"a.example:80", "ports do not take part"},
           {"[::1]:80", "ports do not take part"},
       }) {
    SCOPED_TRACE(pattern);
    const auto matcher = HostMatcher::make(Patterns{"ok.example", pattern}, Patterns{});
    ASSERT_FALSE(matcher.has_value());
    EXPECT_NE(matcher.error().detail.find("purge.hosts.allow[1]"), std::string::npos);
    EXPECT_NE(matcher.error().detail.find(words), std::string::npos) << matcher.error().detail;
  }
}

TEST(Hosts, NamesAndSuffixesAreMatchedWithoutAllocating) {
  const auto matcher =
      HostMatcher::make(Patterns{"a.example", "*.example.org"}, Patterns{"*.deny"});
  ASSERT_TRUE(matcher.has_value());
  const std::string_view deep =
      "a-rather-long-name.so-that-no-copy-fits.inside-a-string.example.org";
  const std::size_t before = test::allocations();
  bool all = true;
  for (int i = 0; i < 1000; ++i) {
    all = all && matcher->allows("a.example:8080") && matcher->allows(deep) &&
          !matcher->allows("x.deny") && !matcher->allows("example.org");
  }
  EXPECT_EQ(test::allocations() - before, 0u);
  EXPECT_TRUE(all);
}

TEST(Router, MaxAgeGoesByTheLaterTime) {
  const WallTime now{seconds(100000)};
  struct Row {
    std::optional<Duration> dt_age;
    std::optional<Duration> log_age;
    RouteVerdict verdict;
  };
  for (const Row& row : std::vector<Row>{{{}, {}, RouteVerdict::accepted},
                                         {seconds(59), {}, RouteVerdict::accepted},
                                         {seconds(61), {}, RouteVerdict::expired},
                                         {seconds(61), seconds(1), RouteVerdict::accepted},
                                         {{}, seconds(61), RouteVerdict::expired},
                                         {-seconds(500), {}, RouteVerdict::accepted}}) {
    Router router(*HostMatcher::make(Patterns{}, Patterns{}), seconds(60));
    PurgeEvent event;
    event.host = "h";
    if (row.dt_age) event.dt = now - *row.dt_age;
    std::optional<WallTime> log_time;
    if (row.log_age) log_time = now - *row.log_age;
    EXPECT_EQ(router.judge(event, log_time, now), row.verdict);
  }
}

TEST(Router, HostsComeFirst) {
  Router router(*HostMatcher::make(Patterns{"a"}, Patterns{}), {});
  PurgeEvent event;
  event.host = "b";
  EXPECT_EQ(router.judge(event, {}, {}), RouteVerdict::filtered);
}

}  // namespace
}  // namespace purgeline
