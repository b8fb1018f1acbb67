// The characters and words of HTTP/1.1, for those who read it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace purgeline {

inline constexpr std::string_view kFilteredReason = "Domain not cached here";

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// What may stand in a reason phrase or a field value.
constexpr bool is_text(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

// RFC 9110 5.6.2: what a header's name is made of.
constexpr bool is_token(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// As a table, because it is asked for every byte of every header's name.
inline constexpr auto kToken = [] {
  std::array<bool, 256> table{};
  for (unsigned i = 1; i < 128; ++i) table[i] = is_token(static_cast<char>(i));
  return table;
}();

// Names and options are compared without regard to case, and only these.
inline bool same_word(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(),
                    [](char a, char b) { return lower(a) == b; });
}

// The mark of conf/purge.vcl. Nobody but it writes that, so that the name alone says it.
inline constexpr std::string_view kMark = "x-purgeline-purged";

// Who made an answer, in its header Server. Varnish leaves that of an answer that it passes on as
// it is, so that its own name stands for an answer of its own. Traffic Server passes on no PURGE.
// `server`: the first kKeptOfServer bytes of the value, or more.
inline constexpr std::size_t kKeptOfServer = 8;
inline bool is_cache(std::string_view server) {
  constexpr std::string_view kVarnish = "Varnish";
  constexpr std::string_view kTrafficServer = "ATS/";
  static_assert(kKeptOfServer > kVarnish.size());
  return server == kVarnish || server.starts_with(kTrafficServer);
}

}  // namespace purgeline
