#include "control/log_escape.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace purgeline {

namespace {

struct Character {
  std::uint32_t code{0};
  std::size_t length{0};  // 0: the first byte is no valid UTF-8
};

// Strict: no overlong forms, no surrogates, nothing beyond U+10FFFF.
Character decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  std::uint32_t code = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, length};
}

// Controls (C0, DEL, C1), and what changes how the rest of a line looks: zero-width and direction
// marks, line and paragraph separators, the byte order mark, tags.
bool is_unsafe(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
         code == 0x180e || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
         code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb) ||
         (code >= 0xe0000 && code <= 0xe007f);
}

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

void append_text_character(std::string& out, Character character, std::string_view bytes) {
  auto to = std::back_inserter(out);
  switch (character.code) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (!is_unsafe(character.code)) {
    out += bytes;
  } else if (character.code < 0x80) {
    fmt::format_to(to, "\\x{:02x}", character.code);
  } else {
    fmt::format_to(to, "\\u{{{:04x}}}", character.code);
  }
}

void append_json_character(std::string& out, Character character, std::string_view bytes) {
  auto to = std::back_inserter(out);
  if (character.code == '"' || character.code == '\\') {
    out += '\\';
    out += bytes;
  } else if (!is_unsafe(character.code)) {
    out += bytes;
  } else if (character.code < 0x10000) {
    fmt::format_to(to, "\\u{:04x}", character.code);
  } else {
    const std::uint32_t rest = character.code - 0x10000;
    fmt::format_to(to, "\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
  }
}

template <class Append>
void append_escaped(std::string& out, std::string_view value, std::string_view bad_byte,
                    Append append) {
  const std::size_t size = value.size();
  std::size_t at = 0;
  while (at < size) {
    if (at >= kMaxLogValue) {
      fmt::format_to(std::back_inserter(out), "...(+{} bytes)", size - at);
      return;
    }
    const Character character = decode_utf8(value.substr(at));
    if (character.length == 0) {
      fmt::format_to(std::back_inserter(out), "{}{:02x}", bad_byte,
                     static_cast<unsigned char>(value[at]));
      ++at;
      continue;
    }
    append(out, character, value.substr(at, character.length));
    at += character.length;
  }
}

}  // namespace

void append_text_value(std::string& out, std::string_view value) {
  if (value.size() <= kMaxLogValue && is_plain(value)) {
    out += value;
    return;
  }
  out += '"';
  append_escaped(out, value, "\\x", append_text_character);
  out += '"';
}

void append_json_string(std::string& out, std::string_view value) {
  out += '"';
  append_escaped(out, value, "\\\\x", append_json_character);
  out += '"';
}

}  // namespace purgeline
