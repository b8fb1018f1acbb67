// One scalar: from what a person wrote to a value, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "control/config_error.h"
#include "control/config_schema.h"
#include "purgeline/config.h"

namespace purgeline::config {

// A parsed scalar. Which member counts follows from the type.
struct Value {
  std::uint64_t number{
      0};  // nanoseconds, bytes, percent, millionths, count, or the position in the word list
  bool off{false};
  std::string text;
  Endpoint endpoint;
  StartAt start;
};

// Parses `written` and checks the key's range. The complaint has no path yet.
[[nodiscard]] tl::expected<Value, Complaint> parse_value(const KeySpec& spec,
                                                         std::string_view written);

// What may stand there: form and range, as messages and the reference print it.
[[nodiscard]] std::string allowed_text(const KeySpec& spec);

// The key as one item of its list or map has it: the limits, which count items, are left out.
[[nodiscard]] KeySpec item_spec(const KeySpec& spec);

// Addresses alone, also for the command line.
[[nodiscard]] tl::expected<Endpoint, Complaint> parse_endpoint(std::string_view written);

// "90s", "64MiB": the shortest form that reads back as the same value.
[[nodiscard]] std::string duration_text(Duration duration);
[[nodiscard]] std::string share_text(Share share);  // "0.1%"
[[nodiscard]] std::string size_text(std::uint64_t bytes);
[[nodiscard]] std::string start_text(const StartAt& start);
// The word for position `index` of an enumeration such as io_kind.
[[nodiscard]] std::string word_text(ValueType type, std::uint64_t index);

// `off`, also as YAML 1.1 and its users write it.
[[nodiscard]] bool is_off(std::string_view written);

}  // namespace purgeline::config
