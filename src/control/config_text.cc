#include "control/config_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "purgeline/check.h"

namespace purgeline::config {
namespace {

constexpr std::size_t kMaxShown = 120;    // a found value longer than a line helps nobody
constexpr std::size_t kMaxCompared = 64;  // no name of ours is longer
constexpr std::string_view kCut = "...";

// Names, or parts of names, of librdkafka properties that hold secrets. Certificates in *.pem are
// public, but a key is only one word away, so all of them are hidden.
constexpr std::array<std::string_view, 4> kSecretParts{"password", "secret", ".pem", ".config"};

// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

struct Character {
  std::uint32_t point{0};
  std::size_t bytes{0};  // 0: not UTF-8
};

Character decode(std::string_view text) {
  CHECK(!text.empty());
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint8_t>(text[i]);
  };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  std::uint32_t point = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    point = (point << 6) | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (overlong || surrogate || point > 0x10FFFF) return {};
  return {point, length};
}

// Controls, and what turns the direction of a line or takes no room in it.
bool is_hidden(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) ||
         point == 0xFEFF;
}

std::string escape(const Character& character, char byte) {
  char out[16];
  if (character.bytes == 0 || character.point < 0x100) {
    (void)std::snprintf(out, sizeof out, "\\x%02x",
                        static_cast<unsigned>(static_cast<unsigned char>(byte)));
  } else {
    (void)std::snprintf(out, sizeof out, "\\u%04x", static_cast<unsigned>(character.point));
  }
  return out;
}

std::string_view name_around(std::string_view line, std::size_t at) {
  const auto part_of_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  };
  std::size_t begin = at;
  std::size_t end = at;
  while (begin > 0 && part_of_name(line[begin - 1])) --begin;
  while (end < line.size() && part_of_name(line[end])) ++end;
  return line.substr(begin, end - begin);
}

}  // namespace

std::string nearest(std::string_view typed, std::span<const std::string> candidates) {
  if (typed.empty() || typed.size() > kMaxCompared) return {};
  const std::string word = lower(typed);
  std::string best;
  // A third of the letters may be wrong: more is another word.
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::string known = lower(candidate);
    // A beginning, such as warn for warning, is as good as one slip.
    const bool begins = word.size() >= 3 && known.substr(0, word.size()) == word;
    const std::size_t edits =
        begins ? std::min<std::size_t>(1, distance(word, known)) : distance(word, known);
    if (edits < best_distance) {
      best_distance = edits;
      best = candidate;
    }
  }
  return best;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = decode(text);
    if (character.bytes == 0) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= kMaxShown) return out.append(kCut);
    const Character character = decode(text);
    const std::size_t bytes = std::max<std::size_t>(1, character.bytes);
    const bool shown = character.bytes > 0 && !is_hidden(character.point);
    if (shown) out.append(text.substr(0, bytes));
    if (!shown) out.append(escape(character, text[0]));
    text.remove_prefix(bytes);
  }
  return out;
}

std::string aligned(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = decode(text);
    const std::size_t bytes = std::max<std::size_t>(1, character.bytes);
    if (character.point == '\t') {
      out.push_back(' ');
    } else if (character.bytes == 0 || is_hidden(character.point)) {
      out.push_back('?');
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool is_secret(std::string_view property) {
  const std::string name = lower(property);
  return std::any_of(kSecretParts.begin(), kSecretParts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

std::string without_secrets(std::string_view line) {
  const std::string folded = lower(line);
  std::size_t cut = line.size();
  for (const std::string_view part : kSecretParts) {
    for (std::size_t at = folded.find(part); at != std::string::npos;
         at = folded.find(part, at + 1)) {
      const std::string_view name = name_around(folded, at);
      const auto end = static_cast<std::size_t>(name.data() - folded.data()) + name.size();
      // Only a name with a value behind it: a path such as /etc/ca.pem is no secret.
      const std::size_t colon = line.find_first_not_of("\"' ", end);
      if (colon != std::string_view::npos && line[colon] == ':') cut = std::min(cut, colon + 1);
    }
  }
  if (cut == line.size()) return std::string(line);
  return std::string(line.substr(0, cut)) + " ***";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Character character = decode(text);
    const std::size_t bytes = std::max<std::size_t>(1, character.bytes);
    if (text[0] == '"' || text[0] == '\\') {
      out.push_back('\\');
      out.push_back(text[0]);
    } else if (character.bytes == 0) {
      out.append("\\ufffd");
    } else if (is_hidden(character.point)) {
      char escaped[16];
      (void)std::snprintf(escaped, sizeof escaped, "\\u%04x",
                          static_cast<unsigned>(character.point));
      out.append(escaped);
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  return out.append("\"");
}

}  // namespace purgeline::config
