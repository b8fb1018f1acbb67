#include "decode/time.h"

#include <array>

namespace purgeline {
namespace {

bool take_digits(std::string_view& text, std::size_t count, int& value) {
  if (text.size() < count) return false;
  value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// Nanoseconds of a fraction after its point; digits beyond the ninth say nothing we keep.
bool take_fraction(std::string_view& text, std::int64_t& nanoseconds) {
  std::int64_t scale = 100'000'000;
  std::size_t digits = 0;
  nanoseconds = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    nanoseconds += (text.front() - '0') * scale;
    scale /= 10;
    text.remove_prefix(1);
    ++digits;
  }
  return digits > 0;
}

bool take_zone(std::string_view& text, Duration& east) {
  east = Duration(0);
  if (take(text, 'Z') || take(text, 'z')) return true;
  const bool plus = !text.empty() && text.front() == '+';
  if (!plus && (text.empty() || text.front() != '-')) return false;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!take_digits(text, 2, hours)) return false;
  static_cast<void>(take(text, ':'));
  if (!take_digits(text, 2, minutes) || hours > 23 || minutes > 59) return false;
  east = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  if (!plus) east = -east;
  return true;
}

}  // namespace

std::optional<WallTime> parse_time(std::string_view text) {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!take_digits(text, 4, year) || !take(text, '-') || !take_digits(text, 2, month) ||
      !take(text, '-') || !take_digits(text, 2, day)) {
    return std::nullopt;
  }
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
  if (!take_digits(text, 2, hour) || !take(text, ':') || !take_digits(text, 2, minute) ||
      !take(text, ':') || !take_digits(text, 2, second)) {
    return std::nullopt;
  }
  std::int64_t nanoseconds = 0;
  if (take(text, '.') && !take_fraction(text, nanoseconds)) return std::nullopt;
  Duration east{};
  if (!take_zone(text, east) || !text.empty()) return std::nullopt;
  if (year < 1970 || year > 2200 || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return WallTime(Duration(days) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                  std::chrono::seconds(second) + std::chrono::nanoseconds(nanoseconds) - east);
}

}  // namespace purgeline
