#include "control/config_bind.h"

#include <utility>

#include "control/config_check.h"
#include "control/config_schema.h"
#include "control/config_value.h"
#include "purgeline/check.h"

namespace purgeline::config {
namespace {

void assign(Duration& field, const Value& value) {
  field = Duration(static_cast<Duration::rep>(value.number));
}
void assign(std::optional<Duration>& field, const Value& value) {
  if (value.off)
    field.reset();
  else
    field = Duration(static_cast<Duration::rep>(value.number));
}
void assign(std::uint64_t& field, const Value& value) {
  field = value.number;
}
void assign(std::uint32_t& field, const Value& value) {
  field = static_cast<std::uint32_t>(value.number);
}
void assign(std::optional<Share>& field, const Value& value) {
  if (value.off)
    field.reset();
  else
    field = Share{static_cast<std::uint32_t>(value.number)};
}
void assign(std::string& field, const Value& value) {
  field = value.text;
}
void assign(Endpoint& field, const Value& value) {
  field = value.endpoint;
}
void assign(std::optional<Endpoint>& field, const Value& value) {
  if (value.off)
    field.reset();
  else
    field = value.endpoint;
}
void assign(StartAt& field, const Value& value) {
  field = value.start;
}
template <class Word>  // an enumeration, or bool
requires(std::is_enum_v<Word> || std::is_same_v<Word, bool>) void assign(Word& field,
                                                                         const Value& value) {
  field = static_cast<Word>(value.number);
}

// Binder: the visitor that fills one section from one node, or from the defaults when there is
// none.
class Binder {
 public:
  Binder(const Node* node, std::string path, const std::vector<Source>& sources,
         ConfigOrigins& origins)
      : node_(node), path_(std::move(path)), sources_(sources), origins_(origins) {}

  template <class Field>
  void key(const KeySpec& spec, Field& field) {
    const std::string path = join_path(path_, spec.name);
    if (!spec.is_required()) scalar(spec, spec.fallback, field);
    const Node* found = child(spec.name);
    const bool given =
        found != nullptr && found->kind == Node::Kind::scalar && scalar(spec, found->text, field);
    origins_[path] = given ? origin_of(sources_, found->mark) : "default";
  }

  template <class Item>
  void key(const KeySpec& spec, std::vector<Item>& field) {
    const std::string path = join_path(path_, spec.name);
    const Node* found = child(spec.name);
    origins_[path] = found == nullptr ? "default" : origin_of(sources_, found->mark);
    if (found == nullptr) return;
    for (std::size_t i = 0; i < found->items.size(); ++i) {
      scalar(spec, found->items[i].text, field.emplace_back());
      origins_[index_path(path, i)] = origin_of(sources_, found->items[i].mark);
    }
  }

  void key(const KeySpec& spec, std::map<std::string, TextOrFile>& field) {
    const std::string path = join_path(path_, spec.name);
    const Node* found = child(spec.name);
    origins_[path] = found == nullptr ? "default" : origin_of(sources_, found->mark);
    if (found == nullptr) return;
    for (const Member& member : found->members) {
      TextOrFile& value = field[member.key];
      if (const Node* file = member.value.find("file"); file != nullptr)
        value.file = file->text;
      else
        scalar(spec, member.value.text, value.text);
      origins_[join_path(path, member.key)] = origin_of(sources_, member.value.mark);
    }
  }

  template <class Section>
  void sub(const char* name, const char* /*sentence*/, Section& section) {
    Binder inner(child(name), join_path(path_, name), sources_, origins_);
    visit(section, inner);
  }

  template <class Section>
  void list(const char* name, const char* /*minimum*/, const char* /*maximum*/,
            const char* /*sentence*/, std::vector<Section>& sections) {
    const Node* found = child(name);
    if (found == nullptr) return;
    const std::string path = join_path(path_, name);
    for (std::size_t i = 0; i < found->items.size(); ++i) {
      Binder inner(&found->items[i], index_path(path, i), sources_, origins_);
      visit(sections.emplace_back(), inner);
    }
  }

 private:
  [[nodiscard]] const Node* child(const char* name) const {
    return node_ == nullptr ? nullptr : node_->find(name);
  }

  template <class Field>
  static bool scalar(const KeySpec& spec, const std::string& written, Field& field) {
    const auto value = parse_value(spec, written);
    if (!value) return false;
    assign(field, *value);
    return true;
  }

  const Node* node_;
  std::string path_;
  const std::vector<Source>& sources_;
  ConfigOrigins& origins_;
};

}  // namespace

Bound bind(const Node& root, const std::vector<Source>& sources) {
  Bound bound;
  Binder binder(&root, "", sources, bound.origins);
  visit(bound.config, binder);
  return bound;
}

}  // namespace purgeline::config
