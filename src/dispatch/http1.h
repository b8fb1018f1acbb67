// HTTP/1.1 as far as purging needs it: one function writes requests, one class reads answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace purgeline {

// "purgeline/<version>".
[[nodiscard]] std::string_view default_user_agent();

// A URL has at most 8 KiB, which percent-encoding can make three times as long; the rest is the
// host and our own lines.
inline constexpr std::size_t kMaxRequest = 32 * 1024;

// Appends one PURGE request to `out`, or nothing. It and write_request() are one function, the only
// one that writes a request line.
//
// The target's bytes 0x21-0x7E go out as they are, because the cache's key depends on them; bytes
// from 0x80 are percent-encoded, because Traffic Server drops the connection when it sees them.
// False when `host` or `target` is empty or contains what could split a request (controls, space,
// DEL; in the host also bytes from 0x80), or when the request would be longer than kMaxRequest.
// REQUIRES: room for kMaxRequest bytes in `out`, so that nothing is allocated.
[[nodiscard]] bool write_purge(std::string& out, std::string_view host, std::string_view target,
                               std::string_view user_agent);

// Another request, written by the same rules: for who looks into a cache.
struct RequestForm {
  std::string_view start;   // the method and the blank after it
  std::string_view fields;  // whole lines, each with its line end
};
[[nodiscard]] bool write_request(std::string& out, const RequestForm& form, std::string_view host,
                                 std::string_view target, std::string_view user_agent);

struct Answer {
  std::uint16_t status{0};
  bool filtered{false};    // the reason phrase is "Domain not cached here"
  bool keep_alive{false};  // another answer can follow on this connection
  // A cache that knows PURGE made it, and not an origin that the request was passed to: it has the
  // mark of conf/purge.vcl, or is a 204, or was made by Varnish or Traffic Server themselves.
  bool proof{false};
};

// ResponseParser: finds the ends of answers in a stream of bytes that is split anywhere.
//
// Place:  owned by a Connection, fed from on_bytes().
// Thread: the shard's.
// Bound:  stores no byte of a header that it does not need; the limits below.
//
// Strict: what could be understood in two ways is malformed, because a wrong guess would credit
// answers to the wrong purges. That is two different lengths, a length beside a transfer coding,
// folded lines, lines that end without CR, anything but HTTP/1.0 and 1.1. Interim answers (1xx) are
// passed over; 101 would leave HTTP and is malformed.
class ResponseParser {
 public:
  // No cache we know sends a tenth of these; without limits an endless header would never end.
  static constexpr std::size_t kMaxHead =
      16 * 1024;  // status line, headers and trailers of one answer
  static constexpr std::size_t kMaxHeaders = 100;
  static constexpr std::size_t kMaxInterim = 8;
  static constexpr std::size_t kMaxChunkLine = 1024;
  static constexpr std::uint64_t kMaxBody = 16 * 1024 * 1024;

  enum class Step : std::uint8_t {
    more,       // all bytes are used, no answer is complete
    answer,     // answer() is complete; `bytes` is what follows it
    malformed,  // for good
  };
  // Uses bytes from the front of `bytes`, up to the end of one answer. An answer whose body ends
  // with the connection is complete after its header. After an answer without keep_alive the rest
  // is ignored.
  [[nodiscard]] Step next(std::span<const std::byte>& bytes);
  [[nodiscard]] const Answer& answer() const { return answer_; }
  // Between two answers: a connection that ends here ends in order.
  [[nodiscard]] bool at_start() const { return state_ == State::version && position_ == 0; }

 private:
  enum class State : std::uint8_t {
    version,
    status,
    reason,
    reason_lf,
    header_start,
    name,
    value_start,
    value,
    value_lf,
    head_lf,
    body,
    chunk_size,
    chunk_blank,
    chunk_extension,
    chunk_size_lf,
    chunk_data,
    chunk_cr,
    chunk_lf,
    until_close,
    malformed,
  };
  enum class Header : std::uint8_t { other, content_length, transfer_encoding, connection, server };

  // Each uses one byte; false: malformed.
  bool take(char c);
  bool take_status_line(char c);
  bool take_header(char c);
  [[nodiscard]] Header header_of(std::string_view name) const;
  bool take_name(char c);
  bool take_value(char c);
  bool take_chunk(char c);
  bool finish_header();
  bool finish_length(std::string_view value);
  bool finish_coding(std::string_view value);
  bool finish_connection(std::string_view value);
  void finish_server(std::string_view value);
  bool finish_head();
  bool end_chunk_size(char c);
  bool finish_chunk_size();
  std::size_t skip(std::span<const std::byte> bytes);
  void complete(bool delimited);
  void restart();
  bool keep(char c);

  State state_{State::version};
  Header header_{Header::other};
  bool complete_{false};
  bool http11_{false};
  bool close_{false};
  bool persist_{false};  // Connection: keep-alive
  bool has_length_{false};
  bool chunked_{false};
  bool coded_{false};  // a transfer coding that does not end in chunked
  bool in_trailers_{false};
  bool proof_{false};
  std::uint8_t interims_{0};
  std::uint8_t headers_{0};
  std::uint16_t status_{0};
  std::uint32_t position_{0};  // in the version, the status or the chunk size
  std::size_t head_bytes_{0};
  std::size_t line_bytes_{0};  // of a chunk's size line
  std::uint64_t length_{0};    // Content-Length, then what is left of the body or chunk
  std::uint64_t body_bytes_{0};
  std::size_t text_size_{0};
  std::array<char, 256>
      text_{};  // a reason, a header's name, or the value of a header that matters
  Answer answer_;
};

}  // namespace purgeline
