#include "dispatch/whole_answer.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "dispatch/http1_grammar.h"
#include "purgeline/http_text.h"

namespace purgeline {
namespace {

constexpr std::size_t kMostHeaders = 32;  // of the usual kind
constexpr std::size_t kMostLengthDigits = 5;
constexpr std::string_view kVersion = "HTTP/1.1 ";

// Where the text that begins at `at` ends: at the first control character, which should be the end
// of its line. A tab counts as one, though it may stand in a text: usual answers have none. Eight
// bytes at a time; what the subtractions borrow only reaches bytes behind the first one found.
std::size_t text_end(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x80 * kOnes;
  if constexpr (std::endian::native == std::endian::little) {
    for (; at + 8 <= text.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data() + at, 8);
      const std::uint64_t not_del = word ^ (0x7f * kOnes);
      const std::uint64_t found =
          (((word - 0x20 * kOnes) & ~word) | ((not_del - kOnes) & ~not_del)) & kHigh;
      if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
    }
  }
  while (at < text.size() && is_text(text[at]) && text[at] != '\t') ++at;
  return at;
}

bool line_ends(std::string_view text, std::size_t at) {
  return at + 1 < text.size() && text[at] == '\r' && text[at + 1] == '\n';
}

// Walks over the head. What it is not sure of makes it say no.
class Head {
 public:
  explicit Head(std::string_view text) : text_(text) {}

  bool read_status(Answer& answer) {
    if (!text_.starts_with(kVersion) || text_.size() < kVersion.size() + 4) return false;
    const char* digits = text_.data() + kVersion.size();
    if (digits[0] < '2' || !is_digit(digits[0]) || !is_digit(digits[1]) || !is_digit(digits[2]) ||
        digits[3] != ' ') {
      return false;
    }
    const std::size_t reason = kVersion.size() + 4;
    at_ = text_end(text_, reason);
    if (!line_ends(text_, at_)) return false;
    answer.status = static_cast<std::uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 +
                                               (digits[2] - '0'));
    answer.filtered = text_.substr(reason, at_ - reason) == kFilteredReason;
    answer.keep_alive = true;
    proof_ = answer.status == 204;
    at_ += 2;
    return true;
  }

  // To the first byte behind the empty line.
  bool read_headers() {
    for (std::size_t i = 0; i < kMostHeaders; ++i) {
      if (line_ends(text_, at_)) {
        at_ += 2;
        return true;
      }
      if (!read_header()) return false;
    }
    return false;
  }

  [[nodiscard]] std::size_t size() const { return at_; }
  [[nodiscard]] bool has_length() const { return has_length_; }
  [[nodiscard]] std::size_t length() const { return length_; }
  [[nodiscard]] bool proof() const { return proof_; }

 private:
  bool read_header() {
    const std::size_t start = at_;
    while (at_ < text_.size() && kToken[static_cast<unsigned char>(text_[at_])]) ++at_;
    if (at_ == start || at_ == text_.size() || text_[at_] != ':') return false;
    const std::string_view name = text_.substr(start, at_ - start);
    const std::size_t value = ++at_;
    at_ = text_end(text_, value);
    if (!line_ends(text_, at_)) return false;
    const std::string_view said = text_.substr(value, at_ - value);
    at_ += 2;
    if (same_word(name, "content-length")) return read_length(without_blanks(said));
    if (same_word(name, "connection")) return same_word(without_blanks(said), "keep-alive");
    proof_ = proof_ || same_word(name, kMark) || (same_word(name, "server") && made_by_cache(said));
    return !same_word(name, "transfer-encoding");
  }

  // As the parser reads it: blanks at the end belong to the name.
  static bool made_by_cache(std::string_view server) {
    while (!server.empty() && is_blank(server.front())) server.remove_prefix(1);
    return is_cache(server);
  }

  bool read_length(std::string_view digits) {
    if (has_length_ || digits.empty() || digits.size() > kMostLengthDigits) return false;
    for (const char c : digits) {
      if (!is_digit(c)) return false;
      length_ = length_ * 10 + static_cast<std::size_t>(c - '0');
    }
    has_length_ = true;
    return true;
  }

  std::string_view text_;
  std::size_t at_{0};
  bool has_length_{false};
  std::size_t length_{0};
  bool proof_{false};
};

}  // namespace

std::size_t take_whole_answer(std::span<const std::byte> bytes, Answer& answer) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Head head(text);
  Answer read;
  if (!head.read_status(read) || !head.read_headers()) return 0;
  if (head.size() > ResponseParser::kMaxHead) return 0;
  std::size_t size = head.size();
  if (read.status != 204 && read.status != 304) {
    if (!head.has_length() || head.length() > text.size() - size) return 0;
    size += head.length();
  }
  answer = read;
  answer.proof = head.proof();
  return size;
}

}  // namespace purgeline
