// PurgeEvent: what decode makes of one record. And why a record was refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "purgeline/key.h"
#include "purgeline/types.h"

namespace purgeline {

// Who sent it, as far as the event says: the fixed set behind the label `tag`. Never a label made
// from the event's own text, which would let a sender grow the metrics without bound.
enum class Tag : std::uint8_t { none, mediawiki, other };
inline constexpr std::size_t kTags = 3;
[[nodiscard]] const char* tag_name(Tag tag);  // "", "mediawiki", "other"

// Views point into decode's own buffer and are valid until the next decode.
struct PurgeEvent {
  Key key;
  std::string_view
      host;  // lower case; with ":port" when it is not the scheme's default; "[v6]" possible
  std::string_view
      target;           // origin form, from the first '/', no fragment, bytes exactly as received
  std::string_view id;  // meta.id, "" when missing
  std::optional<WallTime>
      dt;  // meta.dt; empty when missing or malformed (that is no reason to refuse)
  Tag tag{Tag::none};
};

// Why a record is passed over. Each is counted and kept in the ring of refused inputs.
enum class RejectReason : std::uint8_t {
  not_json,  // not JSON, or JSON that is not an object
  not_utf8,
  no_uri,         // meta.uri missing or not a string
  duplicate_key,  // meta or meta.uri twice: which one counts would be anybody's guess
  too_long,       // meta.uri over 8 KiB
  user_info,      // user:password@ in the URI
  bad_scheme,     // not http, https or //
  bad_host,
  bad_port,
  bad_character,  // a control, space or DEL that could split a request
  too_large,      // a record over 4 MiB
  tombstone,      // a record without a value
};
inline constexpr std::size_t kRejectReasons = 12;
[[nodiscard]] const char* reject_reason_name(RejectReason reason);  // "not_json", ...

// What became of an event, for counting: every event that was read gets exactly one.
enum class EventOutcome : std::uint8_t {
  purged,    // every target of every layer answered, or a purge certain to cover it did
  dead,      // kept as a dead letter for at least one target
  expired,   // older than purge.max_age
  filtered,  // its host is not ours
  canary,    // a producer's self test
  rejected,  // not a valid event
  owed,      // a target was behind: purged on the others, and read again for it when it is back
};
inline constexpr std::size_t kEventOutcomes = 7;
[[nodiscard]] const char* event_outcome_name(EventOutcome outcome);

}  // namespace purgeline
