#include "dispatch/http1.h"

#include <algorithm>

#include "dispatch/http1_grammar.h"
#include "dispatch/whole_answer.h"
#include "purgeline/check.h"
#include "purgeline/http_text.h"

namespace purgeline {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kMaxLengthDigits = 18;  // any such number fits 63 bits

// The value of a hexadecimal digit, -1 for anything else.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

// A token, or nothing: lists may have empty elements.
bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

// Inlined into both of its callers, so that a purge pays nothing for what only others send.
[[gnu::always_inline]] inline bool write_message(std::string& out, const RequestForm& form,
                                                 std::string_view host, std::string_view target,
                                                 std::string_view user_agent) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kHost = " HTTP/1.1\r\nHost: ";
  constexpr std::string_view kAgent = "\r\nUser-Agent: ";
  constexpr std::string_view kLine = "\r\n";
  constexpr std::string_view kEnd = "\r\n\r\n";

  if (host.empty() || target.empty()) return false;
  // Everything is looked at before anything is written, so that a refusal leaves the buffer as it
  // was.
  const auto splits = [](char c) {
    return (c >= 0 && c <= ' ') || c == 0x7f;
  };
  for (const char c : host) {
    if (splits(c) || static_cast<unsigned char>(c) >= 0x80) return false;
  }
  std::size_t encoded = 0;
  for (const char c : target) {
    if (splits(c)) return false;
    if (static_cast<unsigned char>(c) >= 0x80) ++encoded;
  }
  const std::size_t size = form.start.size() + target.size() + 2 * encoded + kHost.size() +
                           host.size() + kAgent.size() + user_agent.size() + form.fields.size() +
                           kEnd.size();
  if (size > kMaxRequest) return false;

  const std::size_t before = out.size();
  CHECK(out.capacity() - before >= kMaxRequest);
  out.append(form.start);
  if (encoded == 0) {
    out.append(target);
  } else {
    for (const char c : target) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80) {
        out.push_back(c);
      } else {
        out.push_back('%');
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 15]);
      }
    }
  }
  out.append(kHost).append(host).append(kAgent).append(user_agent);
  if (form.fields.empty())
    out.append(kEnd);
  else
    out.append(kLine).append(form.fields).append(kLine);
  CHECK(out.size() - before == size);
  return true;
}

}  // namespace

std::string_view default_user_agent() {
  return "purgeline/" PURGELINE_VERSION;
}

bool write_purge(std::string& out, std::string_view host, std::string_view target,
                 std::string_view user_agent) {
  return write_message(out, {"PURGE ", {}}, host, target, user_agent);
}

bool write_request(std::string& out, const RequestForm& form, std::string_view host,
                   std::string_view target, std::string_view user_agent) {
  return write_message(out, form, host, target, user_agent);
}

ResponseParser::Step ResponseParser::next(std::span<const std::byte>& bytes) {
  CHECK(!complete_);
  if (at_start() && interims_ == 0) {
    if (const std::size_t size = take_whole_answer(bytes, answer_); size > 0) {
      bytes = bytes.subspan(size);
      return Step::answer;
    }
  }
  while (!bytes.empty() && state_ != State::malformed) {
    if (const std::size_t skipped = skip(bytes); skipped > 0) {
      bytes = bytes.subspan(skipped);
    } else {
      const char c = static_cast<char>(bytes.front());
      bytes = bytes.subspan(1);
      if (!take(c)) state_ = State::malformed;
    }
    if (complete_) {
      CHECK(answer_.status >= 200);
      complete_ = false;
      return Step::answer;
    }
  }
  return state_ == State::malformed ? Step::malformed : Step::more;
}

// Bytes that need no state machine: bodies, and the values of headers that do not matter, which are
// most of an answer. 0 when the next byte is not one of them.
std::size_t ResponseParser::skip(std::span<const std::byte> bytes) {
  if (state_ == State::until_close) return bytes.size();
  if (state_ == State::body || state_ == State::chunk_data) {
    CHECK(length_ > 0);
    const std::size_t size = std::min<std::uint64_t>(bytes.size(), length_);
    length_ -= size;
    if (length_ == 0) {
      if (state_ == State::body)
        complete(true);
      else
        state_ = State::chunk_cr;
    }
    return size;
  }
  if (state_ == State::value && header_ == Header::other) {
    const std::size_t limit = std::min(bytes.size(), kMaxHead - head_bytes_);
    std::size_t size = 0;
    while (size < limit && is_text(static_cast<char>(bytes[size]))) ++size;
    head_bytes_ += size;
    return size;
  }
  return 0;
}

// One byte. Lines of chunks have a limit of their own; everything else of an answer that is not its
// body counts as head, so that neither headers nor trailers can go on for ever.
bool ResponseParser::take(char c) {
  CHECK(state_ != State::malformed && state_ != State::until_close);
  CHECK(state_ != State::body && state_ != State::chunk_data);
  if (state_ >= State::chunk_size) return take_chunk(c);
  if (++head_bytes_ > kMaxHead) return false;
  return state_ < State::header_start ? take_status_line(c) : take_header(c);
}

// "HTTP/1.1 204 Purged\r\n". The reason is kept as far as it can be the one that means something.
bool ResponseParser::take_status_line(char c) {
  CHECK(position_ <= kVersion.size() + 1);
  switch (state_) {
    case State::version:
      if (position_ < kVersion.size()) return c == kVersion[position_++];
      if (position_++ == kVersion.size()) {
        http11_ = c == '1';
        return c == '0' || c == '1';
      }
      position_ = 0;
      state_ = State::status;
      return c == ' ';
    case State::status:
      if (position_ < 3) {
        status_ = static_cast<std::uint16_t>(status_ * 10 + (c - '0'));
        ++position_;
        return is_digit(c);
      }
      if (status_ < 100) return false;
      text_size_ = 0;
      // The space before an empty reason is required, and left out by some all the same.
      state_ = c == '\r' ? State::reason_lf : State::reason;
      return c == ' ' || c == '\r';
    case State::reason:
      if (c == '\r')
        state_ = State::reason_lf;
      else if (!is_text(c))
        return false;
      else
        static_cast<void>(keep(c));  // only a short one is compared with anything
      return true;
    default:
      CHECK(state_ == State::reason_lf);
      answer_.status = status_;
      answer_.filtered = std::string_view(text_.data(), text_size_) == kFilteredReason;
      state_ = State::header_start;
      return c == '\n';
  }
}

// False when the buffer is full: then the text is longer than anything it could be.
bool ResponseParser::keep(char c) {
  if (text_size_ == text_.size()) return false;
  text_[text_size_++] = c;
  return true;
}

// From the line after the status to the empty line, and the same again for trailers.
bool ResponseParser::take_header(char c) {
  CHECK(headers_ <= kMaxHeaders);
  switch (state_) {
    case State::header_start:
      if (c == '\r') {
        state_ = State::head_lf;
        return true;
      }
      if (++headers_ > kMaxHeaders) return false;
      text_size_ = 0;
      state_ = State::name;
      return c != ':' && take_name(c);  // a blank here would be a folded line
    case State::name:
      return take_name(c);
    case State::value_start:
    case State::value:
      return take_value(c);
    case State::value_lf:
      return c == '\n' && finish_header();
    default:
      CHECK(state_ == State::head_lf);
      return c == '\n' && finish_head();
  }
}

ResponseParser::Header ResponseParser::header_of(std::string_view name) const {
  switch (name.size()) {
    case 6:  // a 204 needs no other proof, and is what Varnish answers as a rule
      return status_ != 204 && same_word(name, "server") ? Header::server : Header::other;
    case 10:
      return same_word(name, "connection") ? Header::connection : Header::other;
    case 14:
      return same_word(name, "content-length") ? Header::content_length : Header::other;
    case 17:
      return same_word(name, "transfer-encoding") ? Header::transfer_encoding : Header::other;
    default:
      return Header::other;
  }
}

bool ResponseParser::take_name(char c) {
  CHECK(state_ == State::name);
  if (c != ':') return kToken[static_cast<unsigned char>(c)] && (static_cast<void>(keep(c)), true);
  const std::string_view name(text_.data(), text_size_);
  header_ = Header::other;
  if (!in_trailers_) {  // a trailer cannot change where the answer ends
    header_ = header_of(name);
    if (same_word(name, kMark)) proof_ = true;
  }
  text_size_ = 0;
  state_ = State::value_start;
  return true;
}

// Blanks before the value are dropped here, those after it when the line is complete.
bool ResponseParser::take_value(char c) {
  CHECK(state_ == State::value_start || state_ == State::value);
  if (c == '\r') {
    state_ = State::value_lf;
    return true;
  }
  if (state_ == State::value_start && is_blank(c)) return true;
  state_ = State::value;
  if (!is_text(c)) return false;
  if (header_ == Header::other) return true;
  if (!keep(c)) return false;
  if (header_ == Header::server && text_size_ == kKeptOfServer) {
    finish_server({text_.data(), text_size_});
    header_ = Header::other;  // the rest is passed over quickly
  }
  return true;
}

bool ResponseParser::finish_header() {
  CHECK(state_ == State::value_lf);
  state_ = State::header_start;
  const std::string_view value = without_blanks({text_.data(), text_size_});
  switch (header_) {
    case Header::content_length:
      return finish_length(value);
    case Header::transfer_encoding:
      return finish_coding(value);
    case Header::connection:
      return finish_connection(value);
    case Header::server:
      finish_server(value);
      return true;
    case Header::other:
      return true;
  }
  return false;
}

// Digits and nothing else: signs, lists and blanks inside have been read differently by different
// programs, which is how answers are smuggled.
bool ResponseParser::finish_length(std::string_view value) {
  if (value.empty() || value.size() > kMaxLengthDigits || chunked_ || coded_) return false;
  std::uint64_t length = 0;
  for (const char c : value) {
    if (!is_digit(c)) return false;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (has_length_ && length != length_) return false;
  has_length_ = true;
  length_ = length;
  return true;
}

// "chunked" delimits the body when it is the last coding; with any other last one the body ends
// with the connection.
bool ResponseParser::finish_coding(std::string_view value) {
  if (has_length_ || chunked_) return false;
  while (!value.empty()) {
    const std::string_view coding = next_element(value);
    if (coding.empty()) continue;
    if (chunked_) return false;  // chunked is always the last one
    if (!is_word(without_blanks(coding.substr(0, coding.find(';'))))) return false;
    if (same_word(coding, "chunked"))
      chunked_ = true;
    else
      coded_ = true;
  }
  return chunked_ || coded_;
}

// The other options name headers that are hop-by-hop; they do not concern us.
bool ResponseParser::finish_connection(std::string_view value) {
  while (!value.empty()) {
    const std::string_view option = next_element(value);
    if (!is_word(option)) return false;
    if (same_word(option, "close")) close_ = true;
    if (same_word(option, "keep-alive")) persist_ = true;
  }
  return true;
}

void ResponseParser::finish_server(std::string_view value) {
  if (is_cache(value)) proof_ = true;
}

// RFC 9112 6.3: where the body ends, in the order of that section. We never send HEAD or CONNECT.
bool ResponseParser::finish_head() {
  CHECK(state_ == State::head_lf);
  CHECK(!(has_length_ && (chunked_ || coded_)));
  if (in_trailers_) {
    complete(true);
    return true;
  }
  if (status_ < 200) {
    const auto interims = static_cast<std::uint8_t>(interims_ + 1);
    if (status_ == 101 || interims > kMaxInterim) return false;
    restart();
    interims_ = interims;
    return true;
  }
  if (status_ == 204 || status_ == 304 || (has_length_ && length_ == 0)) {
    complete(true);
  } else if (chunked_) {
    position_ = 0;
    state_ = State::chunk_size;
  } else if (has_length_) {
    state_ = State::body;
    return length_ <= kMaxBody;
  } else {
    complete(false);
  }
  return true;
}

// The lines between chunks: "1a;extension\r\n" before the data, "\r\n" after it.
bool ResponseParser::take_chunk(char c) {
  CHECK(chunked_ && !has_length_);
  if (++line_bytes_ > kMaxChunkLine) return false;
  switch (state_) {
    case State::chunk_size: {
      if (position_ == 0) length_ = 0;
      const int digit = hex_value(c);
      if (digit >= 0) {
        length_ = length_ * 16 + static_cast<std::uint64_t>(digit);
        return ++position_ <= 15;
      }
      return position_ > 0 && end_chunk_size(c);
    }
    case State::chunk_blank:
      return end_chunk_size(c);
    case State::chunk_extension:
      if (c == '\r') state_ = State::chunk_size_lf;
      return c == '\r' || is_text(c);
    case State::chunk_size_lf:
      return c == '\n' && finish_chunk_size();
    case State::chunk_cr:
      state_ = State::chunk_lf;
      return c == '\r';
    default:
      CHECK(state_ == State::chunk_lf);
      position_ = 0;
      line_bytes_ = 0;
      state_ = State::chunk_size;
      return c == '\n';
  }
}

// Behind the digits: blanks, then an extension or the end of the line. "3 7" has been read as 3 and
// as 37.
bool ResponseParser::end_chunk_size(char c) {
  CHECK(state_ == State::chunk_size || state_ == State::chunk_blank);
  if (c == '\r')
    state_ = State::chunk_size_lf;
  else
    state_ = c == ';' ? State::chunk_extension : State::chunk_blank;
  return c == '\r' || c == ';' || is_blank(c);
}

// A chunk of size 0 ends the body; trailers may follow.
bool ResponseParser::finish_chunk_size() {
  CHECK(position_ > 0);
  line_bytes_ = 0;
  if (length_ > kMaxBody || body_bytes_ + length_ > kMaxBody) return false;
  body_bytes_ += length_;
  in_trailers_ = length_ == 0;
  state_ = in_trailers_ ? State::header_start : State::chunk_data;
  return true;
}

// The connection can be used again only when we know where this answer ended.
void ResponseParser::complete(bool delimited) {
  CHECK(!complete_);
  answer_.keep_alive = delimited && !close_ && (http11_ || persist_);
  answer_.proof = proof_ || status_ == 204;
  if (answer_.keep_alive)
    restart();
  else
    state_ = State::until_close;
  complete_ = true;
}

// Everything but the answer, which its reader has not seen yet, and the text, whose size is set
// anew.
void ResponseParser::restart() {
  state_ = State::version;
  close_ = persist_ = has_length_ = chunked_ = coded_ = in_trailers_ = proof_ = false;
  interims_ = headers_ = 0;
  status_ = 0;
  position_ = 0;
  head_bytes_ = line_bytes_ = 0;
  length_ = body_bytes_ = 0;
}

}  // namespace purgeline
