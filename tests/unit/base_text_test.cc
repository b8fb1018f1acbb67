// Texts that several stages write and read: times in UTC, and the lists of HTTP's headers.
#include <gtest/gtest.h>

#include <vector>

#include "purgeline/http_text.h"
#include "purgeline/utc.h"

namespace purgeline {
namespace {

TEST(UtcText, IsCutOffAfterTheFractionThatIsAskedFor) {
  const WallTime time(std::chrono::seconds(1700000000) + std::chrono::nanoseconds(123456789));
  EXPECT_EQ(utc_text(time, Fraction::none), "2023-11-14T22:13:20Z");
  EXPECT_EQ(utc_text(time, Fraction::milliseconds), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(utc_text(time, Fraction::microseconds), "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(utc_text(WallTime{}, Fraction::microseconds), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(utc_text(WallTime{} - std::chrono::nanoseconds(1), Fraction::milliseconds),
            "1969-12-31T23:59:59.999Z");
}

TEST(HttpText, ElementsOfAListWithoutTheirBlanks) {
  struct Row {
    const char* list;
    std::vector<std::string_view> elements;
  };
  const Row rows[] = {
      {"", {}},
      {"a", {"a"}},
      {" a ,\tb\t", {"a", "b"}},
      {",a,,b", {"", "a", "", "b"}},
      {"a b, c", {"a b", "c"}},
      {"   ", {""}},
  };
  for (const Row& row : rows) {
    std::vector<std::string_view> elements;
    for (std::string_view rest = row.list; !rest.empty();) elements.push_back(next_element(rest));
    EXPECT_EQ(elements, row.elements) << '"' << row.list << '"';
  }
}

}  // namespace
}  // namespace purgeline
