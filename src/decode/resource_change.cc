#include "decode/resource_change.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "decode/time.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

namespace ondemand = simdjson::ondemand;

// Whether every backslash of a string begins an escape of JSON. Half a pair of surrogates is one:
// only a text that is used must be convertible.
bool has_known_escapes(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('\\', at)) != std::string_view::npos; at += 2) {
    const char kind = at + 1 < text.size() ? text[at + 1] : '\0';
    if (kind == 'u') {
      constexpr std::string_view kHex = "0123456789abcdefABCDEF";
      const std::string_view digits = text.substr(at + 2, 4);
      if (digits.size() < 4 || digits.find_first_not_of(kHex) != std::string_view::npos)
        return false;
    } else if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

// The record as the parser has it. Most have no backslash anywhere: then a key or a string is what
// stands between its quotes, and need not be unescaped and copied.
struct Text {
  std::string_view bytes;
  bool escapes{true};
};

// What is taken from a record. The views point into the parser's buffers.
struct Fields {
  Text in;
  std::optional<std::string_view> uri;
  std::string_view id;
  std::string_view dt;
  std::string_view domain;
  bool meta{false};
  bool uri_seen{false};
  bool duplicate{false};
  Tag tag{Tag::none};
};

// Takes the digits off the front of `text`; whether there were any.
bool take_digits(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(end);
  return end > 0;
}

// A number of JSON, of any size and precision: nobody computes with it.
bool is_number(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  const bool zero = !text.empty() && text[0] == '0';
  if (zero)
    text.remove_prefix(1);
  else if (!take_digits(text))
    return false;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  return text.empty();
}

simdjson::error_code key_of(ondemand::field& field, const Text& in, std::string_view& key) {
  if (in.escapes) return field.unescaped_key().get(key);
  const char* begin = field.key().raw();
  const std::string_view rest(begin,
                              static_cast<std::size_t>(in.bytes.data() + in.bytes.size() - begin));
  key = rest.substr(0, rest.find('"'));
  return simdjson::SUCCESS;
}

// Calls read(key, value) for each field of an object (`from`: a value or the document); the first
// error ends it.
template <class From, class Read>
simdjson::error_code for_each_field(From& from, const Text& in, Read read) {
  auto object = from.get_object();
  if (object.error()) return object.error();
  for (auto entry : object.value_unsafe()) {
    if (entry.error()) return entry.error();
    ondemand::field& field = entry.value_unsafe();
    std::string_view key;
    if (const auto error = key_of(field, in, key)) return error;
    if (const auto error = read(key, field.value())) return error;
  }
  return simdjson::SUCCESS;
}

template <class Read>
simdjson::error_code for_each_element(ondemand::value& value, Read read) {
  auto array = value.get_array();
  if (array.error()) return array.error();
  for (auto entry : array.value_unsafe()) {
    if (entry.error()) return entry.error();
    if (const auto error = read(entry.value_unsafe())) return error;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code skip_fields(ondemand::value& value, std::size_t open, const Text& in);

// Reads over a value that nothing is taken from: a record is JSON as a whole or not at all. `open`:
// how many objects and arrays the value stands in. The parser has checked already that the text is
// UTF-8 and that no string holds a control character, so without escapes a string is a string.
simdjson::error_code skip(ondemand::value& value, std::size_t open, const Text& in) {
  std::string_view token = value.raw_json_token();  // up to the next one: ends with white space
  if (token.empty()) return simdjson::TAPE_ERROR;
  if (token[0] == '"') {
    return !in.escapes || has_known_escapes(token) ? simdjson::SUCCESS : simdjson::STRING_ERROR;
  }
  if (token[0] == '{' || token[0] == '[') {
    // Deeper records are refused: whoever reads the same record with another parser pays for it.
    if (open >= PurgeDecoder::kMaxDepth) return simdjson::DEPTH_ERROR;
    return token[0] == '{' ? skip_fields(value, open + 1, in)
                           : for_each_element(value, [open, &in](ondemand::value& one) {
                               return skip(one, open + 1, in);
                             });
  }
  token = token.substr(0, token.find_last_not_of(" \t\n\r") + 1);
  const bool known = token == "null" || token == "true" || token == "false" || is_number(token);
  return known ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
}

simdjson::error_code skip_fields(ondemand::value& value, std::size_t open, const Text& in) {
  auto object = value.get_object();
  if (object.error()) return object.error();
  for (auto entry : object.value_unsafe()) {
    if (entry.error()) return entry.error();
    ondemand::field& field = entry.value_unsafe();
    std::string_view key;
    if (in.escapes) {
      if (const auto error = field.unescaped_key().get(key)) return error;
    }
    if (const auto error = skip(field.value(), open, in)) return error;
  }
  return simdjson::SUCCESS;
}

// A string, or nothing when the value has another type: then the field counts as missing.
simdjson::error_code take_string(ondemand::value& value, std::size_t open, const Text& in,
                                 std::optional<std::string_view>& out) {
  const std::string_view token = value.raw_json_token();
  if (token.empty() || token[0] != '"') return skip(value, open, in);
  if (!in.escapes) {
    out = token.substr(1, token.rfind('"') - 1);
    return simdjson::SUCCESS;
  }
  std::string_view text;
  if (const auto error = value.get_string().get(text)) return error;
  out = text;
  return simdjson::SUCCESS;
}

simdjson::error_code take_text(ondemand::value& value, std::size_t open, const Text& in,
                               std::string_view& out) {
  std::optional<std::string_view> text;
  if (const auto error = take_string(value, open, in, text)) return error;
  if (text) out = *text;
  return simdjson::SUCCESS;
}

constexpr std::size_t kInEvent = 1;  // objects and arrays around a field of the event
constexpr std::size_t kInMeta = 2;
constexpr std::size_t kInTags = 2;

simdjson::error_code read_meta(ondemand::value& value, Fields& fields) {
  fields.duplicate = fields.duplicate || fields.meta;
  fields.meta = true;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::object) return skip(value, kInEvent, fields.in);
  return for_each_field(value, fields.in, [&fields](std::string_view key, ondemand::value& field) {
    if (key == "uri") {
      fields.duplicate = fields.duplicate || fields.uri_seen;
      fields.uri_seen = true;
      return take_string(field, kInMeta, fields.in, fields.uri);
    }
    if (key == "id") return take_text(field, kInMeta, fields.in, fields.id);
    if (key == "dt") return take_text(field, kInMeta, fields.in, fields.dt);
    if (key == "domain") return take_text(field, kInMeta, fields.in, fields.domain);
    return skip(field, kInMeta, fields.in);
  });
}

simdjson::error_code read_tags(ondemand::value& value, Fields& fields) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::array) return skip(value, kInEvent, fields.in);
  bool first = true;  // it says who sent the event
  return for_each_element(value, [&](ondemand::value& element) {
    if (!std::exchange(first, false)) return skip(element, kInTags, fields.in);
    std::string_view text;
    if (const auto error = take_text(element, kInTags, fields.in, text)) return error;
    fields.tag = text == "mediawiki" ? Tag::mediawiki : Tag::other;
    return simdjson::SUCCESS;
  });
}

simdjson::error_code read_event(ondemand::document& document, Fields& fields) {
  const auto error =
      for_each_field(document, fields.in, [&fields](std::string_view key, ondemand::value& field) {
        if (key == "meta") return read_meta(field, fields);
        if (key == "tags") return read_tags(field, fields);
        return skip(field, kInEvent, fields.in);
      });
  if (error) return error;
  // There is no location left when the whole text was used; anything behind the object is not JSON.
  const bool used_up = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  return used_up ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
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
  fields.in.bytes = {padded.data(), json.size()};
  fields.in.escapes = json.find('\\') != std::string_view::npos;
  auto error = parser_->parser.iterate(padded.data(), json.size(), padded.size()).get(document);
  if (!error) error = read_event(document, fields);
  if (error == simdjson::UTF8_ERROR) return rejected(RejectReason::not_utf8);
  if (error) return rejected(RejectReason::not_json);
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
