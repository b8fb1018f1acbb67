#include "audit/copy.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "purgeline/http_text.h"

namespace purgeline::audit {
namespace {

constexpr std::string_view kEnd = "\r\n\r\n";
constexpr std::size_t kMostServer = 64;
constexpr Duration kVague = std::chrono::seconds(1);
// Older than any copy: what is above it is no age but a broken clock.
constexpr std::int64_t kMostSeconds = 10LL * 366 * 24 * 3600;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
bool same_word(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(),
                    [](char a, char b) { return lower(a) == b; });
}
bool contains_word(std::string_view text, std::string_view lower_case) {
  const auto found = std::search(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                                 [](char a, char b) { return lower(a) == b; });
  return found != text.end();
}

// A number of exactly so many digits; -1 for anything else.
int number(std::string_view digits) {
  int value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
      text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto* month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const int day = number(text.substr(5, 2));
  const int year = number(text.substr(12, 4));
  const int hour = number(text.substr(17, 2));
  const int minute = number(text.substr(20, 2));
  const int second = number(text.substr(23, 2));
  if (month == kMonths.end() || day < 1 || year < 1970 || year > 2200) return std::nullopt;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{
      std::chrono::year{year},
      std::chrono::month{static_cast<unsigned>(month - kMonths.begin()) + 1},
      std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days{date}.time_since_epoch();
  return WallTime(Duration(days) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                  std::chrono::seconds(second));
}

std::optional<Duration> parse_age(std::string_view text) {
  std::int64_t seconds = 0;
  std::size_t at = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    seconds = seconds * 10 + (text[at] - '0');
    if (seconds > kMostSeconds) return std::nullopt;
  }
  if (at == 0) return std::nullopt;
  Duration age = std::chrono::seconds(seconds);
  if (at == text.size()) return age;
  if (text[at++] != '.') return std::nullopt;
  std::int64_t unit = 100'000'000;
  for (; at < text.size() && is_digit(text[at]); ++at, unit /= 10) {
    age += Duration((text[at] - '0') * unit);
  }
  if (at < text.size()) return std::nullopt;
  return age;
}

HeadReader::Step HeadReader::add(std::string_view bytes) {
  if (done_) return Step::malformed;
  const std::size_t searched = bytes_.size() < 3 ? 0 : bytes_.size() - 3;
  bytes_.append(bytes.substr(0, kMaxHead + 1 - std::min(kMaxHead, bytes_.size())));
  std::size_t from = searched;
  for (;;) {
    const std::size_t end = bytes_.find(kEnd, from);
    if (end == std::string::npos) {
      return bytes_.size() > kMaxHead ? Step::malformed : Step::more;
    }
    head_ = Head{};
    if (!read(std::string_view(bytes_).substr(0, end))) return Step::malformed;
    if (head_.status >= 200) {
      head_.extra = bytes_.size() > end + kEnd.size();
      done_ = true;
      return Step::head;
    }
    if (head_.status == 101 || ++interims_ > kMaxInterim) return Step::malformed;
    bytes_.erase(0, end + kEnd.size());
    from = 0;
  }
}

void HeadReader::restart() {
  bytes_.clear();
  interims_ = 0;
  done_ = false;
}

bool HeadReader::read(std::string_view head) {
  constexpr std::string_view kVersion = "HTTP/1.";
  std::string_view line = head.substr(0, head.find("\r\n"));
  head.remove_prefix(std::min(head.size(), line.size() + 2));
  if (line.size() < 12 || line.substr(0, kVersion.size()) != kVersion || line[8] != ' ') {
    return false;
  }
  const int status = number(line.substr(9, 3));
  if (status < 100 || (line.size() > 12 && line[12] != ' ')) return false;
  head_.status = static_cast<std::uint16_t>(status);
  head_.keep_alive = line[7] == '1';
  // Without a length the body ends with the connection.
  head_.has_body = status != 204 && status != 304;
  while (!head.empty()) {
    line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(head.size(), line.size() + 2));
    if (!read_field(line)) return false;
  }
  return true;
}

bool HeadReader::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || line[0] == ' ' || line[0] == '\t') {
    return false;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = without_blanks(line.substr(colon + 1));
  if (same_word(name, "date")) head_.date = parse_http_date(value);
  // Of two the smaller one counts: it makes a copy no older than it is.
  if (same_word(name, "age")) {
    const auto age = parse_age(value);
    if (age && (!head_.age || *age < *head_.age)) head_.age = age;
  }
  if (same_word(name, "server")) head_.server = value.substr(0, kMostServer);
  if (same_word(name, "x-purgeline-audit")) head_.probe = value.substr(0, kMostServer);
  if (same_word(name, "x-varnish") || (same_word(name, "via") && contains_word(value, "varnish"))) {
    head_.varnish = true;
  }
  if (same_word(name, "connection") && contains_word(value, "close")) head_.keep_alive = false;
  if (same_word(name, "content-length") && value == "0") head_.has_body = false;
  return true;
}

AuditVerdict judge_copy(const Head& head, WallTime answered, WallTime changed,
                        Duration clock_margin) {
  if (!head.date || !head.age) return AuditVerdict::undecided;
  const WallTime latest = std::max(*head.date, answered - *head.age) + kVague + clock_margin;
  return latest < changed ? AuditVerdict::stale : AuditVerdict::fresh;
}

}  // namespace purgeline::audit
