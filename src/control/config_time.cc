#include "control/config_time.h"

#include <chrono>

#include "purgeline/utc.h"

namespace purgeline::config {
namespace {

constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2199;  // nanoseconds in 64 bits end in 2262

// `count` digits at `at` as a number, or -1.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int number = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') return -1;
    number = number * 10 + (text[i] - '0');
  }
  return number;
}

}  // namespace

std::optional<WallTime> parse_date(std::string_view written) {
  const bool with_time = written.size() == 20;
  if (!with_time && written.size() != 10) return std::nullopt;
  if (written[4] != '-' || written[7] != '-') return std::nullopt;
  const int year = digits(written, 0, 4);
  const int month = digits(written, 5, 2);
  const int day = digits(written, 8, 2);
  if (year < kFirstYear || year > kLastYear || month < 1 || day < 1) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  Duration since = std::chrono::sys_days(date).time_since_epoch();
  if (with_time) {
    if (written[10] != 'T' || written[13] != ':' || written[16] != ':' || written[19] != 'Z') {
      return std::nullopt;
    }
    const int hour = digits(written, 11, 2);
    const int minute = digits(written, 14, 2);
    const int second = digits(written, 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
      return std::nullopt;
    }
    since += std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second);
  }
  return WallTime(since);
}

std::string date_text(WallTime time) {
  return utc_text(time, Fraction::none);
}

}  // namespace purgeline::config
