#include "purgeline/host_pattern.h"

#include <algorithm>

namespace purgeline {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

bool is_plain_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return text.find_first_not_of("0123456789abcdef:.", 1) == text.size() - 1;
  }
  return !text.empty() && text.front() != '.' && text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
                  c == '_';
         });
}

// A pattern with a port would match nothing, since ports do not take part: say so.
bool has_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  return colon != std::string_view::npos && colon + 1 < text.size() &&
         text.find_first_not_of("0123456789", colon + 1) == std::string_view::npos &&
         is_plain_host(text.substr(0, colon));
}

}  // namespace

Result<HostPattern> parse_host_pattern(std::string_view written) {
  if (written.size() > 2 && written.front() == '/' && written.back() == '/') {
    return HostPattern{HostPatternKind::expression,
                       std::string(written.substr(1, written.size() - 2))};
  }
  std::string text = lower(written);
  if (text.rfind("*.", 0) == 0 && is_plain_host(std::string_view(text).substr(2))) {
    return HostPattern{HostPatternKind::suffix, text.substr(1)};
  }
  if (is_plain_host(text)) return HostPattern{HostPatternKind::host, std::move(text)};
  if (has_port(text)) {
    return failure(Errc::invalid, "has a port, and ports do not take part: leave it out");
  }
  return failure(Errc::invalid, "is neither a host, nor *.suffix, nor /RE2 expression/");
}

std::string refused_expression(std::string_view expression, std::string_view words) {
  std::string text = "is no RE2 expression: ";
  text += words;
  const auto has = [expression](std::string_view part) {
    return expression.find(part) != std::string_view::npos;
  };
  if (has("(?=") || has("(?!") || has("(?<")) {
    text += "; RE2 has no look-around: put what must not match into the other list";
  }
  return text;
}

}  // namespace purgeline
