#include "control/config_schema.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::config {
namespace {

// What the design names and a later version will read. Somebody who follows the documentation of
// that version is told so, and not that the key does not exist.
constexpr std::array<std::string_view, 1> kLater{
    "admin.socket",
};

std::uint64_t number(const char* text) {
  return std::strtoull(text, nullptr, 10);
}

// Builds the tree; the structs it visits serve only for their shape.
class Collector {
 public:
  explicit Collector(SchemaNode& section) : section_(section) {}

  template <class Field>
  void key(const KeySpec& spec, const Field& /*field*/) {
    SchemaNode node;
    node.kind = SchemaNode::Kind::key;
    node.name = spec.name;
    node.sentence = spec.sentence;
    node.key = spec;
    section_.children.push_back(std::move(node));
  }

  template <class Section>
  void sub(const char* name, const char* sentence, const Section& field) {
    SchemaNode node;
    node.name = name;
    node.sentence = sentence;
    Collector inner(node);
    visit(field, inner);
    section_.children.push_back(std::move(node));
  }

  template <class Section>
  void list(const char* name, const char* minimum, const char* maximum, const char* sentence,
            const std::vector<Section>& /*items*/) {
    SchemaNode node;
    node.kind = SchemaNode::Kind::list;
    node.name = name;
    node.sentence = sentence;
    node.minimum = number(minimum);
    node.maximum = number(maximum);
    const Section item{};
    Collector inner(node);
    visit(item, inner);
    section_.children.push_back(std::move(node));
  }

 private:
  SchemaNode& section_;
};

void add_later(SchemaNode& root, std::string_view path) {
  SchemaNode* at = &root;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const auto found = std::find_if(at->children.begin(), at->children.end(),
                                    [&](const SchemaNode& child) { return child.name == name; });
    if (found != at->children.end()) {
      at = &*found;
      continue;
    }
    SchemaNode node;
    node.kind = SchemaNode::Kind::later;
    node.name = name;
    at->children.push_back(std::move(node));
    at = &at->children.back();
  }
  // When this fails the key has become real: take it out of kLater.
  CHECK(at->kind == SchemaNode::Kind::later);
}

}  // namespace

bool KeySpec::is_required() const {
  return fallback[0] == '\0' && !is_map() && number(minimum) > 0;
}

ValueType KeySpec::item_type() const {
  if (type == ValueType::text_list || type == ValueType::text_map) return ValueType::text;
  if (type == ValueType::address_list) return ValueType::address;
  if (type == ValueType::delay_list) return ValueType::delay;
  return type;
}

const SchemaNode* SchemaNode::find(std::string_view child) const {
  for (const SchemaNode& node : children) {
    if (node.name == child) return &node;
  }
  return nullptr;
}

std::vector<std::string> SchemaNode::names() const {
  std::vector<std::string> out;
  for (const SchemaNode& node : children) {
    if (node.kind != Kind::later || kind == Kind::later) out.push_back(node.name);
  }
  return out;
}

const SchemaNode* SchemaNode::off_key() const {
  if (kind != Kind::section || children.empty() || children.front().kind != Kind::key) {
    return nullptr;
  }
  const ValueType type = children.front().key.type;
  const bool may = type == ValueType::optional_duration || type == ValueType::optional_address ||
                   type == ValueType::optional_share;
  return may ? &children.front() : nullptr;
}

SchemaNode make_schema() {
  SchemaNode root;
  const Config shape{};
  Collector collector(root);
  visit(shape, collector);
  for (const std::string_view path : kLater) add_later(root, path);
  return root;
}

}  // namespace purgeline::config
