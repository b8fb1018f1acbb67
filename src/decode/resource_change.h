// PurgeDecoder: one record of a purge topic into a PurgeEvent, or a reason why not.
//
// Place:  after the source. The format is resource_change 1.0.0; of it only meta.uri is needed.
// Thread: one; it owns the buffers that the event points into.
// Bound:  records of kMaxRecord bytes. Nothing is allocated for an event once the buffer has grown
// to the
//         largest record seen.
//
// A record is JSON as a whole or it is refused: in values that nothing is taken from, literals,
// numbers (of any size), escapes and nesting are checked too. Accepted there are escapes of half a
// surrogate pair, and keys that stand twice.
//
// Unknown fields are ignored, and so is a missing or malformed time: an event without one is purged
// as an event of now. A key that stands twice is refused where it matters, since readers differ in
// which counts.
#pragma once

#include <memory>
#include <string_view>

#include "decode/url.h"
#include "purgeline/event.h"
#include "purgeline/record.h"

namespace purgeline {

enum class DecodeKind { event, canary, rejected };

struct DecodeResult {
  DecodeKind kind{DecodeKind::rejected};
  RejectReason reason{RejectReason::not_json};  // with rejected
  PurgeEvent event;                             // with event; views until the next decode
};

class PurgeDecoder {
 public:
  static constexpr std::size_t kMaxRecord = 4 << 20;
  static constexpr std::size_t kMaxDepth = 32;  // objects and arrays open at once

  PurgeDecoder();
  ~PurgeDecoder();
  PurgeDecoder(const PurgeDecoder&) = delete;
  PurgeDecoder& operator=(const PurgeDecoder&) = delete;

  [[nodiscard]] DecodeResult decode(const Record& record) { return decode(record.value); }
  [[nodiscard]] DecodeResult decode(std::string_view json);

 private:
  struct Parser;  // simdjson stays out of this header
  std::unique_ptr<Parser> parser_;
  UrlSplitter splitter_;
};

}  // namespace purgeline
