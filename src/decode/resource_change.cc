#include "decode/resource_change.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "decode/time.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

namespace ondemand = simdjson::ondemand;

// What is taken from a record. The views point into the parser's own string buffer.
struct Fields {
  std::optional<std::string_view> uri;
  std::string_view id;
  std::string_view dt;
  std::string_view domain;
  bool meta{false};
  bool uri_seen{false};
  bool duplicate{false};
  Tag tag{Tag::none};
};

// A string, or nothing when the value has another type: then the field counts as missing.
simdjson::error_code take_string(ondemand::value value, std::optional<std::string_view>& out) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::string) return simdjson::SUCCESS;
  std::string_view text;
  if (const auto error = value.get_string().get(text)) return error;
  out = text;
  return simdjson::SUCCESS;
}

simdjson::error_code take_text(ondemand::value value, std::string_view& out) {
  std::optional<std::string_view> text;
  if (const auto error = take_string(value, text)) return error;
  if (text) out = *text;
  return simdjson::SUCCESS;
}

// Calls read(key, value) for each field of an object (`from`: a value or the document); the first
// error ends it.
template <class From, class Read>
simdjson::error_code for_each_field(From& from, Read read) {
  ondemand::object object;
  if (const auto error = from.get_object().get(object)) return error;
  for (auto entry : object) {
    ondemand::field field;
    if (const auto error = std::move(entry).get(field)) return error;
    std::string_view key;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const auto error = read(key, field.value())) return error;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code read_meta(ondemand::value value, Fields& fields) {
  fields.duplicate = fields.duplicate || fields.meta;
  fields.meta = true;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::object) return simdjson::SUCCESS;
  return for_each_field(value, [&fields](std::string_view key, ondemand::value field) {
    if (key == "uri") {
      fields.duplicate = fields.duplicate || fields.uri_seen;
      fields.uri_seen = true;
      return take_string(field, fields.uri);
    }
    if (key == "id") return take_text(field, fields.id);
    if (key == "dt") return take_text(field, fields.dt);
    if (key == "domain") return take_text(field, fields.domain);
    return simdjson::SUCCESS;
  });
}

simdjson::error_code read_tags(ondemand::value value, Fields& fields) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::array) return simdjson::SUCCESS;
  ondemand::array array;
  if (const auto error = value.get_array().get(array)) return error;
  for (auto element : array) {
    ondemand::value first;
    if (const auto error = std::move(element).get(first)) return error;
    std::string_view text;
    if (const auto error = take_text(first, text)) return error;
    fields.tag = text == "mediawiki" ? Tag::mediawiki : Tag::other;
    break;  // the first one says who sent it
  }
  return simdjson::SUCCESS;
}

simdjson::error_code read_event(ondemand::document& document, Fields& fields) {
  const auto error =
      for_each_field(document, [&fields](std::string_view key, ondemand::value field) {
        if (key == "meta") return read_meta(field, fields);
        if (key == "tags") return read_tags(field, fields);
        return simdjson::SUCCESS;
      });
  if (error) return error;
  // There is no location left when the whole text was used; anything behind the object is not JSON.
  const bool used_up = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  return used_up ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
}

// How many of `c` are in the text; stops behind the limit. By find, which is quick over what is not
// `c`.
std::size_t count_up_to(std::string_view text, char c, std::size_t limit) {
  std::size_t count = 0;
  for (auto at = text.find(c); at != std::string_view::npos && count <= limit;
       at = text.find(c, at + 1)) {
    ++count;
  }
  return count;
}

// Skipping a value costs the parser no stack, but whoever reads the same record with another parser
// pays for depth. Few records have more brackets than the limit, so few are read byte by byte.
bool is_too_deep(std::string_view json) {
  constexpr std::size_t kLimit = PurgeDecoder::kMaxDepth;
  if (count_up_to(json, '{', kLimit) + count_up_to(json, '[', kLimit) <= kLimit) return false;
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      if (++depth > kLimit) return true;
    } else if (!in_string && (c == '}' || c == ']')) {
      depth -= depth > 0 ? 1 : 0;
    }
  }
  return false;
}

DecodeResult rejected(RejectReason reason) {
  DecodeResult result;
  result.reason = reason;
  return result;
}

}  // namespace

struct PurgeDecoder::Parser {
  ondemand::parser parser;
  std::vector<char> padded;
};

PurgeDecoder::PurgeDecoder() : parser_(std::make_unique<Parser>()) {}
PurgeDecoder::~PurgeDecoder() = default;

DecodeResult PurgeDecoder::decode(std::string_view json) {
  if (json.empty()) return rejected(RejectReason::tombstone);
  if (json.size() > kMaxRecord) return rejected(RejectReason::too_large);
  std::vector<char>& padded = parser_->padded;
  const std::size_t needed = json.size() + simdjson::SIMDJSON_PADDING;
  if (padded.size() < needed) padded.resize(std::max(needed, padded.size() * 2));
  std::memcpy(padded.data(), json.data(), json.size());
  std::memset(padded.data() + json.size(), ' ', simdjson::SIMDJSON_PADDING);

  ondemand::document document;
  Fields fields;
  auto error = parser_->parser.iterate(padded.data(), json.size(), padded.size()).get(document);
  if (!error) error = read_event(document, fields);
  if (error == simdjson::UTF8_ERROR) return rejected(RejectReason::not_utf8);
  if (error || is_too_deep(json)) return rejected(RejectReason::not_json);
  // Before the canary: one meta that says "canary" must not hide another that names a page.
  if (fields.duplicate) return rejected(RejectReason::duplicate_key);
  if (fields.domain == "canary") {
    DecodeResult result;
    result.kind = DecodeKind::canary;
    return result;
  }
  if (!fields.uri) return rejected(RejectReason::no_uri);

  Url url;
  if (const auto reason = splitter_.split(*fields.uri, url)) return rejected(*reason);
  DecodeResult result;
  result.kind = DecodeKind::event;
  result.event.key = url.key;
  result.event.host = url.host;
  result.event.target = url.target;
  result.event.id = fields.id;
  result.event.dt = parse_time(fields.dt);
  result.event.tag = fields.tag;
  return result;
}

}  // namespace purgeline
