#include "decode/posted_events.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "decode/time.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kStreamLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::string_view kPurgeSchema = "/resource_change/";

// Walks over JSON that a parser has found good, to know where things stand in it.
class Walker {
 public:
  explicit Walker(std::string_view json) : json_(json) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t depth() const { return deepest_; }
  char here() {
    while (at_ < json_.size() && std::strchr(" \t\r\n", json_[at_]) != nullptr) ++at_;
    return at_ < json_.size() ? json_[at_] : '\0';
  }
  void step() { ++at_; }
  // Over a string, without its quotes.
  std::string_view text() {
    CHECK(here() == '"');
    const std::size_t begin = ++at_;
    while (json_[at_] != '"') at_ += json_[at_] == '\\' ? 2 : 1;
    return json_.substr(begin, at_++ - begin);
  }
  // Over any value; depth() is then how deep it was.
  std::string_view value() {
    deepest_ = 0;
    here();
    const std::size_t begin = at_;
    std::size_t depth = 0;
    do {
      const char c = here();
      if (c == '"') {
        text();
      } else if (c == '{' || c == '[') {
        deepest_ = std::max(deepest_, ++depth);
        ++at_;
      } else if (c == '}' || c == ']') {
        --depth;
        ++at_;
      } else if (c == ',' || c == ':') {
        ++at_;
      } else {
        at_ = std::min(json_.find_first_of(",:]} \t\r\n", at_), json_.size());
      }
    } while (depth > 0);
    return json_.substr(begin, at_ - begin);
  }

 private:
  std::string_view json_;
  std::size_t at_{0};
  std::size_t deepest_{0};
};

// The value of the only field of this name. `problem` is set when there are two, or when it is
// there and no string.
std::optional<std::string_view> take_text(dom::object object, const std::string& path,
                                          std::string_view name, std::string& problem) {
  std::optional<std::string_view> out;
  bool seen = false;
  for (const dom::key_value_pair field : object) {
    if (field.key != name) continue;
    if (seen) problem = path + " stands there twice";
    seen = true;
    std::string_view text;
    if (field.value.get_string().get(text) == simdjson::SUCCESS) {
      out = text;
    } else {
      problem = path + " is not a string";
    }
  }
  return out;
}

// Where meta begins in the bytes of the event, just behind its brace.
bool find_meta(PostedEvent& event) {
  Walker walker(event.json);
  CHECK(walker.here() == '{');
  walker.step();
  while (walker.here() == '"') {
    const bool is_meta = walker.text() == "meta";
    CHECK(walker.here() == ':');
    walker.step();
    const char first = walker.here();
    if (is_meta && first == '{') {
      walker.step();
      event.meta_at = walker.at();
      event.meta_empty = walker.here() == '}';
      return true;
    }
    walker.value();
    if (walker.here() == ',') walker.step();
  }
  return false;
}

std::string check_meta(dom::object meta, const std::string_view schema, UrlSplitter& splitter,
                       PostedEvent& event) {
  std::string problem;
  const auto stream = take_text(meta, "meta.stream", "stream", problem);
  const auto id = take_text(meta, "meta.id", "id", problem);
  const auto dt = take_text(meta, "meta.dt", "dt", problem);
  const auto uri = take_text(meta, "meta.uri", "uri", problem);
  if (!problem.empty()) return problem;
  if (!stream) return "meta.stream is missing";
  if (stream->empty() || stream->size() > PostedReader::kMaxStream ||
      stream->find_first_not_of(kStreamLetters) != std::string_view::npos) {
    return "meta.stream is not a stream's name: letters, digits, '.', '_' and '-', at most 200";
  }
  event.stream = *stream;
  if (id && (id->empty() || id->size() > PostedReader::kMaxId)) {
    return "meta.id is empty or longer than 128 bytes";
  }
  event.id = id.value_or("");
  if (dt && !parse_time(*dt)) {
    return "meta.dt is not a time such as 2026-08-21T13:56:20.417Z";
  }
  event.has_dt = dt.has_value();
  // Only a purge needs a URL that can be purged; a job's is a placeholder.
  if (!schema.empty() && schema.substr(0, kPurgeSchema.size()) != kPurgeSchema) return "";
  if (!uri) return "meta.uri is missing";
  Url url;
  const auto reason = splitter.split(*uri, url);
  return reason ? url_problem(*reason) : "";
}

std::string check_event(dom::element element, UrlSplitter& splitter, PostedEvent& event) {
  dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS) return "an event is a JSON object";
  std::string problem;
  const auto schema = take_text(object, "$schema", "$schema", problem);
  if (!problem.empty()) return problem;
  std::optional<dom::element> meta;
  for (const dom::key_value_pair field : object) {
    if (field.key != "meta") continue;
    if (meta) return "meta stands there twice";
    meta = field.value;
  }
  dom::object fields;
  if (!meta) return "meta is missing";
  if (meta->get_object().get(fields) != simdjson::SUCCESS) return "meta is not an object";
  if (!find_meta(event)) return "the name meta is written with escapes";
  return check_meta(fields, schema.value_or(""), splitter, event);
}

}  // namespace

struct PostedReader::Parser {
  dom::parser parser;
};

PostedReader::PostedReader() : parser_(std::make_unique<Parser>()) {}
PostedReader::~PostedReader() = default;

Result<std::vector<PostedEvent>> PostedReader::read(std::string_view body) {
  if (body.size() > kMaxBody) return failure(Errc::out_of_range, "the body is larger than 4 MiB");
  // One more than an event may have, for the array around it; what is deeper is no depth at which
  // to say which event it was.
  if (parser_->parser.max_depth() != 2 * kMaxDepth || parser_->parser.capacity() < body.size()) {
    const std::size_t room = std::max<std::size_t>(body.size(), 64 << 10);
    if (parser_->parser.allocate(room, 2 * kMaxDepth) != simdjson::SUCCESS) {
      return failure(Errc::unavailable, "no memory for the body");
    }
  }
  dom::element root;
  if (const auto error = parser_->parser.parse(body.data(), body.size()).get(root)) {
    if (error == simdjson::EMPTY) return failure(Errc::invalid, "the body is empty");
    return failure(Errc::invalid,
                   std::string("the body is not JSON: ") + simdjson::error_message(error));
  }
  std::vector<dom::element> elements;
  Walker walker(body);
  dom::array array;
  const bool is_array = root.get_array().get(array) == simdjson::SUCCESS;
  if (is_array) {
    // The count of an array stops at 2^24 - 1, far above what is allowed.
    if (array.size() > kMaxEvents) {
      return failure(Errc::out_of_range, "the body has more than 10000 events");
    }
    elements.assign(array.begin(), array.end());
    CHECK(walker.here() == '[');
    walker.step();
  } else {
    elements.push_back(root);
  }
  if (elements.empty()) return failure(Errc::invalid, "the body has no event");
  std::vector<PostedEvent> events(elements.size());
  for (std::size_t i = 0; i < elements.size(); ++i) {
    events[i].json = walker.value();
    if (walker.depth() > kMaxDepth) {
      events[i].problem = "the event is nested deeper than 32";
    } else {
      events[i].problem = check_event(elements[i], splitter_, events[i]);
    }
    if (is_array && walker.here() == ',') walker.step();
  }
  return events;
}

std::string with_meta(const PostedEvent& event, std::string_view id, std::string_view dt) {
  CHECK(event.problem.empty());
  std::string added;
  for (const auto& [name, value] : {std::pair{"\"id\":", id}, std::pair{"\"dt\":", dt}}) {
    if (value.empty()) continue;
    if (!added.empty()) added += ',';
    added += name;
    write_json_string(added, value);
  }
  if (!added.empty() && !event.meta_empty) added += ',';
  std::string out;
  out.reserve(event.json.size() + added.size());
  out.append(event.json.substr(0, event.meta_at)).append(added);
  return out.append(event.json.substr(event.meta_at));
}

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

void write_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 0x0F];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool write_purge_event(const PurgeFields& fields, std::string& out) {
  if (!is_utf8(fields.uri)) return false;
  out = R"({"$schema":"/resource_change/1.0.0","meta":{"uri":)";
  write_json_string(out, fields.uri);
  out += R"(,"id":)";
  write_json_string(out, fields.id);
  out += R"(,"dt":)";
  write_json_string(out, fields.dt);
  out += R"(,"stream":)";
  write_json_string(out, fields.stream);
  out += R"(},"tags":[)";
  write_json_string(out, fields.tag);
  out += "]}";
  return true;
}

std::string url_problem(RejectReason reason) {
  switch (reason) {
    case RejectReason::too_long:
      return "the URL is longer than 8192 bytes";
    case RejectReason::user_info:
      return "the URL has a user name in it";
    case RejectReason::bad_scheme:
      return "the URL does not begin with http://, https:// or //";
    case RejectReason::bad_host:
      return "the URL's host is none: letters, digits, '.', '-' and '_', or [IPv6]";
    case RejectReason::bad_port:
      return "the URL's port is none: 1 to 65535";
    case RejectReason::bad_character:
      return "the URL has a space or control character in it";
    case RejectReason::no_uri:
      return "the URL is empty";
    case RejectReason::not_utf8:
      return "the URL is not UTF-8: write other bytes as %XX";
    default:
      return std::string("the URL is refused: ") + reject_reason_name(reason);
  }
}

}  // namespace purgeline
