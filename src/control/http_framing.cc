#include "control/http_framing.h"

#include "purgeline/http.h"
#include "purgeline/http_text.h"

namespace purgeline {
namespace {

constexpr std::string_view kToken =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
constexpr std::size_t kMaxLengthDigits = 18;

}  // namespace

HeaderScanner::State HeaderScanner::scan(std::string_view bytes) {
  for (; scanned_ < bytes.size(); ++scanned_) {
    const char c = bytes[scanned_];
    const bool after_return = scanned_ > line_begin_ && bytes[scanned_ - 1] == '\r';
    if (c == '\0') return bad("a NUL in the header"), State::bad;
    if (c != '\n') {
      if (after_return) return bad("a CR without LF in the header"), State::bad;
      continue;
    }
    if (!after_return) return bad("a line of the header ends in LF without CR"), State::bad;
    const std::string_view line = bytes.substr(line_begin_, scanned_ - 1 - line_begin_);
    line_begin_ = scanned_ + 1;
    if (line.empty() && lines_ > 0) {
      ++scanned_;
      return check_end() ? State::complete : State::bad;
    }
    if (!check_line(line)) return State::bad;
    ++lines_;
  }
  return State::more;
}

bool HeaderScanner::check_line(std::string_view line) {
  if (line.empty()) return bad("an empty line instead of a request");
  if (lines_ == 0) {
    old_version_ = !line.ends_with(" HTTP/1.1");
    return true;
  }
  if (line.front() == ' ' || line.front() == '\t') return bad("a folded line in the header");
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || name.empty() ||
      name.find_first_not_of(kToken) != std::string_view::npos) {
    return bad("a line of the header is not a name, a colon and a value");
  }
  return check_field(name, without_blanks(line.substr(colon + 1)));
}

bool HeaderScanner::check_field(std::string_view name, std::string_view value) {
  if (HttpRequest::same_name(name, "Host")) {
    if (++hosts_ > 1) return bad("two Host fields");
  } else if (HttpRequest::same_name(name, "Content-Length")) {
    if (++lengths_ > 1) return bad("two Content-Length fields");
    if (value.empty() || value.size() > kMaxLengthDigits ||
        value.find_first_not_of("0123456789") != std::string_view::npos) {
      return bad("Content-Length is not one number");
    }
  } else if (HttpRequest::same_name(name, "Transfer-Encoding")) {
    if (++encodings_ > 1) return bad("two Transfer-Encoding fields");
    if (!HttpRequest::same_name(value, "chunked")) return bad("Transfer-Encoding is not chunked");
  }
  return true;
}

bool HeaderScanner::check_end() {
  if (lengths_ > 0 && encodings_ > 0) return bad("Content-Length and Transfer-Encoding together");
  if (encodings_ > 0 && old_version_) return bad("Transfer-Encoding before HTTP/1.1");
  return true;
}

bool HeaderScanner::bad(std::string problem) {
  problem_ = std::move(problem);
  return false;
}

}  // namespace purgeline
