// Delivery: one key for one target, as the coalescer hands it to dispatch; and the outcome of an
// attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "purgeline/types.h"

namespace purgeline {

// Names a delivery in flight. Slot and generation, so that a late answer never ends a newer
// delivery.
struct DeliveryId {
  std::uint32_t slot{UINT32_MAX};
  std::uint32_t generation{0};
  friend bool operator==(const DeliveryId&, const DeliveryId&) = default;
};

// What dispatch has to know of a delivery's earlier attempts. It comes with the outcome of each,
// and whoever keeps the delivery hands it back with the next.
struct AttemptMarks {
  std::uint16_t attempts{0};  // failed attempts so far (5xx, timeouts, malformed answers)
  std::uint8_t lonely{0};     // how often it was alone when the cache closed unanswered
  bool alone{false};          // suspected of making the cache close: send it at depth 1
  std::uint8_t denials{0};    // 403, 405 or 501 so far
  // Good answers of the target when this delivery last failed, without and with those to probes.
  std::uint32_t good_then{0};
  std::uint32_t alive_then{0};

  void set_marks(const AttemptMarks& of) { *this = of; }
};

// What dispatch needs for one attempt. The views live until the attempt's outcome has been
// reported.
struct Delivery : AttemptMarks {
  DeliveryId id;
  TargetId target;
  std::string_view host;
  std::string_view path;  // the request target
  bool probe{false};      // nobody's URL: its answer says nothing about other URLs
};

enum class AttemptResult : std::uint8_t {
  purged,      // 200, 204
  absent,      // 404: there was nothing to purge, which is as good
  filtered,    // 204 "Domain not cached here": not this cache's host
  retry,       // 5xx, timeout, malformed answer: again at `not_before`
  unanswered,  // the connection went before the answer, or it was never sent: again at once, in
               // order
  denied,      // 403, 405, 501, not yet known whether the target or the URL is meant
  refused,     // dead: this URL is refused among good ones (400, 414, 3xx, other 4xx, denied)
  exhausted,   // dead: max_attempts failed while the target answered others well
  poison,      // dead: closed three connections on which it was alone
};
inline constexpr std::size_t kAttemptResults = 9;
[[nodiscard]] const char* attempt_result_name(AttemptResult result);
[[nodiscard]] constexpr bool is_good(AttemptResult r) {
  return r <= AttemptResult::filtered;
}
[[nodiscard]] constexpr bool is_dead(AttemptResult r) {
  return r >= AttemptResult::refused;
}

struct Outcome : AttemptMarks {
  AttemptResult result{AttemptResult::retry};
  std::uint16_t status{0};  // the HTTP status, 0 when there was no answer
  MonoTime not_before{};    // for retry and denied: when it may be sent again
};

// Dispatch pulls: it takes a delivery only when it can write it. Implemented by the coalescer.
class DeliveryQueue {
 public:
  virtual ~DeliveryQueue() = default;
  // The next delivery that is due for `target`, oldest first; its attempt starts now. Empty when
  // none is.
  virtual std::optional<Delivery> take(TargetId target) = 0;
  // Whether take() would give one now.
  [[nodiscard]] virtual bool ready(TargetId target) const = 0;
};

// Dispatch reports exactly one outcome for each delivery taken. Implemented by the pipeline.
class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;
  virtual void on_outcome(DeliveryId id, const Outcome& outcome) = 0;
};

// What a target is worth at the moment, for readiness, metrics and log.
enum class TargetState : std::uint8_t {
  unknown,  // nothing asked of it yet
  up,       // answered well last
  down,     // breaker open: no connection, or nothing but failures
  denied,   // answers, but denies every purge: its ACL or VCL is wrong
};
inline constexpr std::size_t kTargetStates = 4;
[[nodiscard]] const char* target_state_name(TargetState state);

}  // namespace purgeline
