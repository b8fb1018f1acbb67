// PostedReader: the body of a POST of events into the events, each as the bytes that were posted.
//
// Place:  inside the HTTP intake, before the log. What comes out is what PurgeDecoder reads later.
// Thread: one; it owns the buffer of the parser.
// Bound:  bodies of kMaxBody bytes with kMaxEvents events, kMaxDepth deep each.
//
// The bytes of an event are kept as they are: numbers and texts of a stranger's event must not
// change on the way through. Only a missing meta.id or meta.dt is written behind the brace of meta.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decode/url.h"
#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

struct PostedEvent {
  std::string_view json;   // the event as posted; a view into the body
  std::string problem;     // why it is not taken, in words; empty: it is
  std::string stream;      // meta.stream
  std::string id;          // meta.id; empty when missing
  bool has_dt{false};      // meta.dt is there, and a time
  std::size_t meta_at{0};  // where in `json` something may be written into meta
  bool meta_empty{false};  // nothing stands in meta yet: no comma is needed
};

class PostedReader {
 public:
  static constexpr std::size_t kMaxBody = 4 << 20;
  static constexpr std::size_t kMaxEvents = 10000;
  static constexpr std::size_t kMaxDepth = 32;
  static constexpr std::size_t kMaxStream = 200;
  static constexpr std::size_t kMaxId = 128;

  PostedReader();
  ~PostedReader();
  PostedReader(const PostedReader&) = delete;
  PostedReader& operator=(const PostedReader&) = delete;

  // The events of a body: one object, or an array of them; or why there are none at all.
  [[nodiscard]] Result<std::vector<PostedEvent>> read(std::string_view body);

 private:
  struct Parser;  // simdjson stays out of this header
  std::unique_ptr<Parser> parser_;
  UrlSplitter splitter_;
};

// The event's bytes, with the id and the time written into meta where they are not "".
[[nodiscard]] std::string with_meta(const PostedEvent& event, std::string_view id,
                                    std::string_view dt);

// A resource_change event for a URL. False when the URL cannot stand in one: it is not UTF-8.
struct PurgeFields {
  std::string_view uri;
  std::string_view id;
  std::string_view dt;
  std::string_view stream;
  std::string_view tag;  // who sent it: "http", "htcp"
};
[[nodiscard]] bool write_purge_event(const PurgeFields& fields, std::string& out);

// The text as a JSON string, quotes included; the text is UTF-8.
void write_json_string(std::string& out, std::string_view text);
[[nodiscard]] bool is_utf8(std::string_view text);

// What is wrong with a URL, as a sentence for whoever sent it.
[[nodiscard]] std::string url_problem(RejectReason reason);

}  // namespace purgeline
