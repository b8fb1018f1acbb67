#include "control/config_show.h"

#include <utility>
#include <vector>

#include "control/config_check.h"
#include "control/config_schema.h"
#include "control/config_text.h"
#include "control/config_value.h"

namespace purgeline {
namespace config {
namespace {

constexpr const char* kMasked = "\"***\"";

// Plain where YAML reads plain text as itself, else in double quotes.
std::string yaml_text(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+-";
  const bool plain = !text.empty() && text.find_first_not_of(kPlain) == std::string::npos &&
                     std::string_view(":@%+-.").find(text.front()) == std::string_view::npos &&
                     text.back() != ':' && lower(text) != "null";
  return plain ? text : json_string(text);
}

std::string value_text(ValueType /*type*/, Duration field) {
  return duration_text(field);
}
std::string value_text(ValueType /*type*/, const std::optional<Duration>& field) {
  return field ? duration_text(*field) : "off";
}
std::string value_text(ValueType type, std::uint64_t field) {
  return type == ValueType::size ? size_text(field) : std::to_string(field);
}
std::string value_text(ValueType /*type*/, std::uint32_t field) {
  return std::to_string(field) + "%";
}
std::string value_text(ValueType /*type*/, const std::optional<Share>& field) {
  return field ? share_text(*field) : "off";
}
std::string value_text(ValueType /*type*/, const std::string& field) {
  return yaml_text(field);
}
std::string value_text(ValueType /*type*/, const Endpoint& field) {
  return yaml_text(field.text);
}
std::string value_text(ValueType /*type*/, const std::optional<Endpoint>& field) {
  return field ? yaml_text(field->text) : "off";
}
std::string value_text(ValueType /*type*/, const StartAt& field) {
  return yaml_text(start_text(field));
}
template <class Word>  // an enumeration, or bool
requires(std::is_enum_v<Word> || std::is_same_v<Word, bool>) std::string
    value_text(ValueType type, Word field) {
  return word_text(type, static_cast<std::uint64_t>(field));
}

// Printer: the visitor that writes one section as YAML, indented below its name.
class Printer {
 public:
  Printer(std::string path, std::size_t indent, const ConfigOrigins& origins, std::string& out)
      : path_(std::move(path)), indent_(indent), origins_(origins), out_(out) {}

  // The next line starts with "- ", as the first of a list's item.
  void begin_item() { item_ = true; }

  template <class Field>
  void key(const KeySpec& spec, const Field& field) {
    line(spec.name, value_text(spec.type, field), join_path(path_, spec.name));
  }

  template <class Item>
  void key(const KeySpec& spec, const std::vector<Item>& field) {
    const std::string path = join_path(path_, spec.name);
    line(spec.name, field.empty() ? "[]" : "", path);
    for (std::size_t i = 0; i < field.size(); ++i) {
      raw(2, "- " + value_text(spec.item_type(), field[i]), index_path(path, i));
    }
  }

  void key(const KeySpec& spec, const std::map<std::string, TextOrFile>& field) {
    const std::string path = join_path(path_, spec.name);
    line(spec.name, field.empty() ? "{}" : "", path);
    for (const auto& [name, value] : field) {
      std::string shown = is_secret(name) ? kMasked : yaml_text(value.text);
      if (!value.file.empty()) shown = "{file: " + yaml_text(value.file) + "}";
      raw(2, yaml_text(name) + ": " + shown, join_path(path, name));
    }
  }

  template <class Section>
  void sub(const char* name, const char* /*sentence*/, const Section& section) {
    // Of the two logs, the one that is in use: together they would not be read back.
    if constexpr (std::is_same_v<Section, KafkaConfig>) {
      kafka_ = !section.brokers.empty();
      if (!kafka_) return;
    }
    if constexpr (std::is_same_v<Section, JournalConfig>) {
      if (kafka_) return;
    }
    line(name, "", "");
    Printer inner(join_path(path_, name), indent_ + 2, origins_, out_);
    visit(section, inner);
  }

  template <class Section>
  void list(const char* name, const char* /*minimum*/, const char* /*maximum*/,
            const char* /*sentence*/, const std::vector<Section>& sections) {
    line(name, "", "");
    const std::string path = join_path(path_, name);
    for (std::size_t i = 0; i < sections.size(); ++i) {
      Printer inner(index_path(path, i), indent_ + 4, origins_, out_);
      inner.begin_item();
      visit(sections[i], inner);
    }
  }

 private:
  void line(const char* name, const std::string& value, const std::string& path) {
    raw(0, std::string(name) + ":" + (value.empty() ? "" : " " + value), path);
  }

  void raw(std::size_t deeper, const std::string& text, const std::string& path) {
    std::string line(indent_ + deeper, ' ');
    if (item_) line.replace(indent_ - 2, 1, "-");
    item_ = false;
    line += text;
    if (const auto origin = origins_.find(path); origin != origins_.end()) {
      line += "  # " + origin->second;
    }
    out_ += line + "\n";
  }

  std::string path_;
  std::size_t indent_;
  const ConfigOrigins& origins_;
  std::string& out_;
  bool item_{false};
  bool kafka_{false};  // was printed
};

}  // namespace
}  // namespace config

std::string show_config(const Config& config, const ConfigOrigins& origins) {
  std::string out;
  config::Printer printer("", 0, origins, out);
  config::visit(config, printer);
  return out;
}

}  // namespace purgeline
