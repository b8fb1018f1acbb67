// The characters and words of HTTP/1.1, for those who read it.
#pragma once

#include <algorithm>
#include <array>
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

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace purgeline
