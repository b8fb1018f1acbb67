#include "control/config_value.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "control/config_text.h"
#include "control/config_time.h"
#include "purgeline/check.h"

namespace purgeline::config {
namespace {

using Parsed = tl::expected<Value, Complaint>;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> kDurationUnits{{{"ms", 1'000'000},
                                              {"s", 1'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"d", 86'400'000'000'000}}};
constexpr std::array<Unit, 5> kSizeUnits{
    {{"", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}}};
constexpr std::array<Unit, 1> kPercentUnits{{{"%", 1}}};
constexpr std::array<Unit, 1> kCountUnits{{{"", 1}}};

// All numbers fit into a signed 64-bit integer, which is what durations are kept in.
constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

tl::unexpected<Complaint> complain(std::string message, std::string suggestion = {}) {
  return tl::unexpected<Complaint>(Complaint{std::move(message), "", "", std::move(suggestion)});
}

// The words of an enumeration, in the order of its C++ enum; empty for other types.
std::vector<std::string> words_of(ValueType type) {
  switch (type) {
    case ValueType::io_kind:
      return {"auto", "uring", "epoll"};
    case ValueType::log_format:
      return {"text", "json"};
    case ValueType::log_level:
      return {"debug", "info", "warning", "error"};
    case ValueType::metrics_compat:
      return {"off", "purged"};
    case ValueType::boolean:
      return {"false", "true"};
    default:
      return {};
  }
}

std::span<const Unit> units_of(ValueType type) {
  switch (type) {
    case ValueType::duration:
    case ValueType::optional_duration:
    case ValueType::delay:
    case ValueType::start_at:
      return kDurationUnits;
    case ValueType::size:
      return kSizeUnits;
    case ValueType::percent:
      return kPercentUnits;
    case ValueType::count:
      return kCountUnits;
    default:
      return {};
  }
}

// The noun of the message "is not ...".
std::string noun_of(ValueType type) {
  switch (type) {
    case ValueType::duration:
    case ValueType::delay:
      return "a duration";
    case ValueType::optional_duration:
      return "a duration or off";
    case ValueType::size:
      return "a size";
    case ValueType::percent:
      return "a percentage";
    case ValueType::optional_share:
      return "a share or off";
    case ValueType::count:
      return "a whole number";
    case ValueType::address:
      return "an address";
    case ValueType::optional_address:
      return "an address or off";
    case ValueType::start_at:
      return "a place to start";
    default:
      return "one of the words for it";
  }
}

// What somebody meant who wrote 64MB, 10sec, 5 m or 10 for 10%; a guess by the first letter.
std::string unit_meant(ValueType type, std::string_view digits, std::string_view unit) {
  const std::size_t first = unit.find_first_not_of(' ');
  const std::string word = first == std::string_view::npos ? "" : lower(unit.substr(first));
  const std::string number(digits);
  if (type == ValueType::percent) return word.empty() || word == "%" ? number + "%" : "";
  if (word.empty()) return {};
  if (word.substr(0, 2) == "ms" || word.substr(0, 3) == "mil") {
    return units_of(type).data() == kDurationUnits.data() ? number + "ms" : "";
  }
  for (const Unit& known : units_of(type)) {
    if (known.name.empty() || known.name == "ms") continue;
    if (lower(known.name)[0] == word[0]) return number + std::string(known.name);
  }
  return {};
}

tl::expected<std::uint64_t, Complaint> parse_number(ValueType type, std::string_view written) {
  std::size_t length = 0;
  while (length < written.size() && written[length] >= '0' && written[length] <= '9') ++length;
  const std::string_view digits = written.substr(0, length);
  const std::string_view unit = written.substr(length);
  const std::span<const Unit> units = units_of(type);
  const auto known = std::find_if(units.begin(), units.end(),
                                  [&](const Unit& candidate) { return candidate.name == unit; });
  if (digits.empty()) return complain("is not " + noun_of(type));
  if (known == units.end()) {
    const std::string meant = unit_meant(type, digits, unit);
    return complain((unit.empty() ? "has no unit" : "is not " + noun_of(type)), meant);
  }
  // YAML 1.1 reads 010 as eight.
  if (digits.size() > 1 && digits[0] == '0') return complain("has leading zeros");
  if (digits.size() > 19) return complain("is too large");  // 20 digits could overflow
  std::uint64_t number = 0;
  for (const char digit : digits) number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  if (number > kLargest / known->factor) return complain("is too large");
  return number * known->factor;
}

// 0.1% is 1000 millionths. No more digits than these can hold.
tl::expected<std::uint64_t, Complaint> parse_share(std::string_view written) {
  constexpr std::size_t kPlaces = 4;
  const std::size_t point = std::min(written.find('.'), written.find('%'));
  std::string whole(written.substr(0, point));
  std::string_view rest = point == std::string_view::npos ? "" : written.substr(point);
  std::string places;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
      places += rest[0];
      rest.remove_prefix(1);
    }
    if (places.empty()) return complain("is not a share or off");
  }
  // The whole part is read as any percentage; what is wrong with it is the same.
  const auto percent = parse_number(ValueType::percent, whole.append(rest));
  if (!percent) {
    std::string meant = percent.error().suggestion;
    if (!meant.empty() && !places.empty()) meant = std::string(written) + "%";
    const bool unit = percent.error().message != "is not a percentage";
    return complain(unit ? percent.error().message : "is not a share or off", meant);
  }
  if (places.size() > kPlaces) return complain("has more than four places");
  const std::uint64_t millionths =
      *percent * 10'000 + std::stoull(places.append(kPlaces - places.size(), '0'));
  if (*percent > 100 || millionths > 1'000'000) return complain("is too large");
  return millionths;
}

Parsed parse_word(ValueType type, std::string_view written) {
  const std::vector<std::string> words = words_of(type);
  CHECK(!words.empty());
  const std::string word = is_off(written) && words[0] == "off" ? "off" : std::string(written);
  const auto known = std::find(words.begin(), words.end(), word);
  if (known == words.end()) return complain("is not known", nearest(written, words));
  Value value;
  value.number = static_cast<std::uint64_t>(known - words.begin());
  return value;
}

Parsed parse_text(std::string_view written) {
  if (!is_utf8(written)) return complain("is not UTF-8");
  const bool control = std::any_of(written.begin(), written.end(), [](char c) {
    // Line ends occur in certificates that are given as properties.
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F;
  });
  if (control) return complain("contains control characters");
  Value value;
  value.text = written;
  value.number = characters(written);
  return value;
}

Parsed parse_start(std::string_view written) {
  Value value;
  if (written == "earliest") {
    value.start = StartEarliest{};
  } else if (written == "now") {
    value.start = StartNow{};
  } else if (const auto date = parse_date(written)) {
    value.start = *date;
  } else {
    const auto number = parse_number(ValueType::start_at, written);
    if (!number) {
      const std::vector<std::string> words{"earliest", "now"};
      const std::string meant = lower(written) == "latest" ? "now" : nearest(written, words);
      return complain("is not a place to start", meant.empty() ? number.error().suggestion : meant);
    }
    value.start = Duration(static_cast<std::int64_t>(*number));
  }
  return value;
}

Parsed parse_form(ValueType type, std::string_view written) {
  Value value;
  switch (type) {
    case ValueType::text:
      return parse_text(written);
    case ValueType::start_at:
      return parse_start(written);
    case ValueType::optional_address:
    case ValueType::address: {
      value.off = type == ValueType::optional_address && is_off(written);
      if (value.off) return value;
      auto endpoint = parse_endpoint(written);
      if (!endpoint) return tl::unexpected<Complaint>(std::move(endpoint.error()));
      value.endpoint = std::move(*endpoint);
      return value;
    }
    case ValueType::optional_duration:
    case ValueType::optional_share:
    case ValueType::duration:
    case ValueType::delay:
    case ValueType::size:
    case ValueType::percent:
    case ValueType::count: {
      const bool may_be_off =
          type == ValueType::optional_duration || type == ValueType::optional_share;
      value.off = may_be_off && is_off(written);
      if (value.off) return value;
      const auto number =
          type == ValueType::optional_share ? parse_share(written) : parse_number(type, written);
      if (!number) return tl::unexpected<Complaint>(number.error());
      value.number = *number;
      return value;
    }
    default:
      return parse_word(type, written);
  }
}

// A limit of the table; texts are limited by their length.
std::uint64_t limit(ValueType type, const char* written) {
  const auto number =
      type == ValueType::optional_share
          ? parse_share(written)
          : parse_number(type == ValueType::text ? ValueType::count : type, written);
  CHECK(number.has_value());
  return *number;
}

std::string range_text(const KeySpec& spec) {
  const std::string low = spec.minimum;
  const std::string high = spec.maximum;
  if (low.empty() && high.empty()) return {};
  if (high.empty()) return "at least " + low;
  return low.empty() ? "at most " + high : low + " to " + high;
}

std::string with_range(std::string form, const std::string& range) {
  return range.empty() ? form : form.append(", ").append(range);
}

std::string form_text(ValueType type) {
  switch (type) {
    case ValueType::duration:
    case ValueType::delay:
      return "a whole number and ms, s, m, h or d";
    case ValueType::optional_duration:
      return "off, or a whole number and ms, s, m, h or d";
    case ValueType::size:
      return "bytes, or a whole number and KiB, MiB, GiB or TiB";
    case ValueType::percent:
      return "a whole number and %";
    case ValueType::optional_share:
      return "off, or a number with up to four places and %";
    case ValueType::count:
      return "a whole number";
    case ValueType::address:
      return "host:port, [v6]:port or unix:/path";
    case ValueType::optional_address:
      return "off, host:port, [v6]:port or unix:/path";
    case ValueType::start_at:
      return "earliest, now, a duration such as 24h, or a date such as "
             "2026-01-31 or 2026-01-31T12:00:00Z";
    case ValueType::text:
      return "text";
    default:
      break;
  }
  std::string out;
  for (const std::string& word : words_of(type)) out += (out.empty() ? "" : ", ") + word;
  return out;
}

}  // namespace

tl::expected<Value, Complaint> parse_value(const KeySpec& key, std::string_view written) {
  const KeySpec spec = item_spec(key);
  const ValueType type = spec.type;
  Parsed value = parse_form(type, written);
  if (!value) {
    value.error().found = written;
    if (value.error().allowed.empty()) value.error().allowed = allowed_text(spec);
    return value;
  }
  const bool ranged = !value->off && (!units_of(type).empty() || type == ValueType::text ||
                                      type == ValueType::optional_share);
  const auto outside = [&](const char* message) {
    return tl::unexpected<Complaint>(
        Complaint{message, std::string(written), allowed_text(spec), ""});
  };
  const bool text = type == ValueType::text;
  if (ranged && spec.minimum[0] != '\0' && value->number < limit(type, spec.minimum)) {
    return outside(text ? "is too short" : "is too small");
  }
  if (ranged && spec.maximum[0] != '\0' && value->number > limit(type, spec.maximum)) {
    return outside(text ? "is too long" : "is too large");
  }
  return value;
}

KeySpec item_spec(const KeySpec& spec) {
  KeySpec item = spec;
  item.type = spec.item_type();
  if (item.type != spec.type) item.minimum = item.maximum = "";
  if (item.type == ValueType::delay) {
    item.minimum = "1s";
    item.maximum = "5m";
  }
  return item;
}

std::string allowed_text(const KeySpec& spec) {
  const std::string range = range_text(spec);
  if (spec.is_list()) {
    const KeySpec item = item_spec(spec);
    const std::string each = item.type == ValueType::delay
                                 ? "durations that rise, each " + range_text(item)
                                 : form_text(item.type);
    const std::string items = "a list of " + each;
    return range.empty() ? items : items + ", " + range + " items";
  }
  if (spec.is_map()) return "names with text or {file: /path}";
  if (spec.type == ValueType::text && !range.empty()) return "text, " + range + " characters";
  return with_range(form_text(spec.type), range);
}

std::string duration_text(Duration duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  // From a day on hours read well up to two days: 24h and 36h, then 7d.
  for (auto unit = kDurationUnits.rbegin(); unit != kDurationUnits.rend(); ++unit) {
    const bool days = unit == kDurationUnits.rbegin();
    if (count % unit->factor != 0 || count < unit->factor * (days ? 3 : 1)) continue;
    return std::to_string(count / unit->factor) + std::string(unit->name);
  }
  return "0s";
}

std::string share_text(Share share) {
  std::string text = std::to_string(share.millionths / 10'000);
  std::string places = std::to_string(10'000 + share.millionths % 10'000).substr(1);
  while (!places.empty() && places.back() == '0') places.pop_back();
  if (!places.empty()) text.append(".").append(places);
  return text + "%";
}

std::string size_text(std::uint64_t bytes) {
  for (auto unit = kSizeUnits.rbegin(); unit != kSizeUnits.rend(); ++unit) {
    if (bytes < unit->factor || bytes % unit->factor != 0) continue;
    return std::to_string(bytes / unit->factor) + std::string(unit->name);
  }
  return "0";
}

std::string start_text(const StartAt& start) {
  if (std::holds_alternative<StartEarliest>(start)) return "earliest";
  if (std::holds_alternative<StartNow>(start)) return "now";
  if (const auto* back = std::get_if<Duration>(&start)) return duration_text(*back);
  return date_text(std::get<WallTime>(start));
}

std::string word_text(ValueType type, std::uint64_t index) {
  const std::vector<std::string> words = words_of(type);
  CHECK(index < words.size());
  return words[index];
}

bool is_off(std::string_view written) {
  const std::string word = lower(written);
  return word == "off" || word == "false" || word == "no";
}

}  // namespace purgeline::config
