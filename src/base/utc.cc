#include "purgeline/utc.h"

#include <chrono>
#include <cstdio>

namespace purgeline {

std::string utc_text(WallTime time, Fraction fraction) {
  const auto since = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  const auto day = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const std::chrono::hh_mm_ss clock(since - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  const int micros = static_cast<int>(clock.subseconds().count());
  char part[16] = "";
  if (fraction == Fraction::milliseconds) std::snprintf(part, sizeof part, ".%03d", micros / 1000);
  if (fraction == Fraction::microseconds) std::snprintf(part, sizeof part, ".%06d", micros);
  return std::string(text) + part + "Z";
}

}  // namespace purgeline
