// What a cache's answer says of its copy, and whether that copy is certain to be older than a
// change.
//
// Place:  under the Auditor. Pure: heads of answers and times in, verdicts out.
// Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "purgeline/audit.h"
#include "purgeline/types.h"

namespace purgeline::audit {

// The fields of an answer that the audit reads. Each may come from anybody, and is checked.
struct Head {
  std::uint16_t status{0};
  std::optional<WallTime> date;
  std::optional<Duration> age;
  std::string server;     // as it stands there, cut at 64 bytes
  std::string probe;      // X-Purgeline-Audit, which only the shipped VCL answers with
  bool varnish{false};    // X-Varnish or Via: it has passed a Varnish
  bool keep_alive{true};  // another answer can follow
  bool has_body{false};   // a body follows, unless the method forbids it
  bool extra{false};      // bytes came behind the head
};

// HeadReader: finds the end of an answer's head in a stream that is split anywhere, and reads it.
//
// Bound: kMaxHead bytes of one head; heads of interim answers are passed over, kMaxInterim of them.
//
// Bodies are not read: who asks uses HEAD, or closes after the head.
class HeadReader {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;
  static constexpr int kMaxInterim = 8;

  enum class Step : std::uint8_t { more, head, malformed };
  // Takes the bytes. After `head` nothing may follow until restart(): bytes behind it are
  // malformed.
  [[nodiscard]] Step add(std::string_view bytes);
  [[nodiscard]] const Head& head() const { return head_; }
  void restart();

 private:
  [[nodiscard]] bool read(std::string_view head);
  [[nodiscard]] bool read_field(std::string_view line);

  std::string bytes_;
  Head head_;
  int interims_{0};
  bool done_{false};
};

// "Tue, 24 Nov 2026 19:06:49 GMT", the one form that is allowed to be sent. Empty for others.
[[nodiscard]] std::optional<WallTime> parse_http_date(std::string_view text);
// Seconds, also with a fraction, which the shipped VCL sends. Empty for anything else.
[[nodiscard]] std::optional<Duration> parse_age(std::string_view text);

// A copy is stale when it is certain to have been made before `changed`. Two times speak of that,
// and both have to: `Date`, which the origin wrote with its clock, floored to a second; and the
// moment of the answer less `Age`, which caches round and some count twice. The later of the two,
// plus the second that both are vague by and what the clocks may differ, is the last moment at
// which the copy can have been made.
[[nodiscard]] AuditVerdict judge_copy(const Head& head, WallTime answered, WallTime changed,
                                      Duration clock_margin);

}  // namespace purgeline::audit
