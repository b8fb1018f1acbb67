// What HTTP's headers are made of, for those who read requests and those who read answers.
#pragma once

#include <string_view>

namespace purgeline {

// RFC 9110 5.5: blanks around a value are no part of it.
[[nodiscard]] inline std::string_view without_blanks(std::string_view text) {
  const auto is_blank = [](char c) {
    return c == ' ' || c == '\t';
  };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the next element of a comma-separated list off the front of `list`; it may be empty.
[[nodiscard]] inline std::string_view next_element(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view element = without_blanks(list.substr(0, comma));
  list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  return element;
}

}  // namespace purgeline
