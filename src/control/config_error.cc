#include "control/config_error.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "control/config_text.h"
#include "purgeline/check.h"

namespace purgeline {
namespace config {
namespace {

constexpr std::size_t kLineShown = 100;  // characters of a source line
constexpr const char* kProperties = "log.kafka.properties.";

bool path_is_secret(std::string_view path) {
  const std::string_view prefix = kProperties;
  return path.substr(0, prefix.size()) == prefix && is_secret(path.substr(prefix.size()));
}

// In a file whose YAML is broken nobody knows where a value ends, so once a secret was named above,
// no line is shown any more.
bool may_be_secret(const Source& source, std::size_t line) {
  if (!source.broken) return false;
  for (std::size_t i = 0; i < line && i < source.lines.size(); ++i) {
    if (without_secrets(source.lines[i]) != source.lines[i]) return true;
  }
  return false;
}

// The bytes of `line` that are shown when the caret is at byte `at`: whole characters, around it.
std::pair<std::size_t, std::size_t> window(std::string_view line, std::size_t at) {
  const auto inside = [&](std::size_t i) {
    return i < line.size() && (static_cast<unsigned char>(line[i]) & 0xC0) == 0x80;
  };
  std::size_t begin = at > kLineShown / 2 && line.size() > kLineShown ? at - kLineShown / 2 : 0;
  while (inside(begin)) ++begin;
  std::size_t end = std::min(line.size(), begin + kLineShown);
  while (inside(end)) ++end;
  return {begin, end};
}

void show_line(const Source& source, const Mark& mark, ConfigError& error) {
  if (mark.line == 0 || mark.line > source.lines.size()) return;
  const std::string& line = source.lines[mark.line - 1];
  const std::size_t at = std::min(line.size(), mark.column > 0 ? mark.column - 1 : 0);
  error.col = characters(std::string_view(line).substr(0, at)) + 1;
  if (path_is_secret(error.path) || may_be_secret(source, mark.line)) return;
  const std::string shown = without_secrets(line);
  const std::size_t caret = std::min(at, shown.size());
  const auto [begin, end] = window(shown, caret);
  error.source_line = aligned(std::string_view(shown).substr(begin, end - begin));
  error.caret =
      caret < begin ? 0 : characters(std::string_view(shown).substr(begin, caret - begin));
}

}  // namespace

void Problems::add(const Mark& mark, const std::string& path, Complaint complaint) {
  CHECK(mark.source < sources_.size());
  if (found_.size() > kMaxProblems) return;
  if (found_.size() == kMaxProblems)
    complaint = {"and more mistakes, which are not listed", "", "", ""};
  const Source& source = sources_[mark.source];
  ConfigError error;
  error.file = source.name;
  error.line = mark.line;
  error.path = printable(path);
  error.message = printable(complaint.message);  // yaml-cpp quotes the file in some of its own
  error.allowed = std::move(complaint.allowed);
  const bool secret = path_is_secret(path);
  if (!complaint.found.empty()) error.found = secret ? "***" : printable(complaint.found);
  if (!secret) error.suggestion = printable(complaint.suggestion);
  show_line(source, mark, error);
  // A file is checked by itself and again as part of the whole; one mistake is told once. Paths may
  // differ, because a list's items are numbered anew when files are joined.
  const bool known = std::any_of(found_.begin(), found_.end(), [&](const Placed& placed) {
    return placed.error.file == error.file && placed.error.line == error.line &&
           placed.error.col == error.col && placed.error.message == error.message &&
           (mark.line > 0 || placed.error.path == error.path);
  });
  if (!known) found_.push_back({mark, std::move(error)});
}

std::vector<ConfigError> Problems::take() {
  std::stable_sort(found_.begin(), found_.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.mark.source, a.mark.line, a.mark.column) <
           std::tie(b.mark.source, b.mark.line, b.mark.column);
  });
  std::vector<ConfigError> errors;
  errors.reserve(found_.size());
  for (Placed& placed : found_) errors.push_back(std::move(placed.error));
  found_.clear();
  return errors;
}

std::string origin_of(const std::vector<Source>& sources, const Mark& mark) {
  CHECK(mark.source < sources.size());
  const std::string& name = sources[mark.source].name;
  return mark.line == 0 ? name : name + ":" + std::to_string(mark.line);
}

}  // namespace config

namespace {

bool is_description(const std::string& found) {
  return found == config::kFoundList || found == config::kFoundSection ||
         found == config::kFoundNothing;
}

std::string as_text(const ConfigError& error) {
  std::string out = error.file;
  if (error.line > 0) {
    out += ":" + std::to_string(error.line) + ":" +
           std::to_string(std::max<std::size_t>(1, error.col));
  }
  out += ": ";
  if (!error.path.empty()) out += error.path + ": ";
  out += error.message;
  if (is_description(error.found))
    out += ", found " + error.found;
  else if (!error.found.empty())
    out += ", found \"" + error.found + "\"";
  if (!error.allowed.empty()) out += ", allowed: " + error.allowed;
  out += "\n";
  if (!error.source_line.empty()) {
    const std::string number = std::to_string(error.line);
    out += "  " + number + " | " + error.source_line + "\n";
    out += "  " + std::string(number.size(), ' ') + " | " + std::string(error.caret, ' ') + "^\n";
  }
  if (!error.suggestion.empty()) out += "  did you mean \"" + error.suggestion + "\"?\n";
  return out;
}

std::string as_json(const ConfigError& error) {
  using config::json_string;
  std::string out = "{\"file\": " + json_string(error.file);
  out += ", \"line\": " + std::to_string(error.line) + ", \"column\": " + std::to_string(error.col);
  const std::pair<const char*, const std::string*> texts[] = {
      {"path", &error.path},       {"message", &error.message},       {"found", &error.found},
      {"allowed", &error.allowed}, {"suggestion", &error.suggestion},
  };
  for (const auto& [name, text] : texts) {
    out += ", \"" + std::string(name) + "\": " + json_string(*text);
  }
  return out + "}";
}

}  // namespace

std::string format_errors(std::span<const ConfigError> errors, ErrorFormat format) {
  std::string out;
  if (format == ErrorFormat::text) {
    for (const ConfigError& error : errors) out += as_text(error);
    return out;
  }
  for (const ConfigError& error : errors) {
    out += (out.empty() ? "\n  " : ",\n  ") + as_json(error);
  }
  return "{\"errors\": [" + out + (errors.empty() ? "]}\n" : "\n]}\n");
}

}  // namespace purgeline
