#include "control/config_merge.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "control/config_check.h"
#include "control/config_text.h"
#include "control/config_value.h"

namespace purgeline::config {
namespace {

constexpr std::string_view kPrefix = "PURGELINE__";
constexpr std::string_view kSeparator = "__";

std::vector<std::string> split(std::string_view name) {
  std::vector<std::string> parts;
  name.remove_prefix(kPrefix.size());
  for (;;) {
    const std::size_t end = name.find(kSeparator);
    parts.push_back(lower(name.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    name.remove_prefix(end + kSeparator.size());
  }
}

// A list's index; no list of ours has more than 10000 items.
std::optional<std::size_t> parse_index(const std::string& part) {
  if (part.empty() || part.size() > 5) return std::nullopt;
  if (part.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoul(part);
}

// Item 2 before item 10, because an item may be added only behind the last one.
bool in_order(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](const std::string& x, const std::string& y) {
                                        const auto i = parse_index(x);
                                        const auto j = parse_index(y);
                                        return i && j ? *i < *j : x < y;
                                      });
}

// Override: walks one variable's parts along the schema and the tree, making what is not there yet.
class Override {
 public:
  Override(const SchemaNode& schema, std::vector<std::string> parts, Mark mark, Problems& problems)
      : schema_(schema), parts_(std::move(parts)), mark_(mark), problems_(problems) {}

  // False when the variable is wrong; the tree is then half changed and to be thrown away.
  [[nodiscard]] bool apply(Node& root, const std::string& text) {
    walk(root, text);
    return !failed_;
  }

 private:
  void walk(Node& root, const std::string& text) {
    Node* at = &root;
    const SchemaNode* schema = &schema_;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const SchemaNode* child = schema->find(parts_[i]);
      if (child == nullptr) return unknown(*schema, i);
      path_ = join_path(path_, child->name);
      at = member(*at, child->name);
      schema = child;
      if (child->kind == SchemaNode::Kind::later) {
        return fail("is not available in this version", "");
      }
      if (child->kind == SchemaNode::Kind::list) {
        at = item(*at, ++i, Node::Kind::map);
        if (at == nullptr) return;
      }
      if (child->kind == SchemaNode::Kind::key) return value(child->key, *at, i + 1, text);
    }
    if (const SchemaNode* key = schema->off_key(); key != nullptr && is_off(text)) {
      path_ = join_path(path_, key->name);
      return value(key->key, *member(*at, key->name), parts_.size(), text);
    }
    fail("is a section, a variable sets a single value", example(*schema));
  }

  // The node at `name`, made when it is not there, so that the value has a place.
  Node* member(Node& parent, const std::string& name) {
    if (parent.kind != Node::Kind::map) parent = made(Node::Kind::map);
    if (Node* found = parent.find(name); found != nullptr) return found;
    parent.members.push_back({name, mark_, made(Node::Kind::null)});
    return &parent.members.back().value;
  }

  Node* item(Node& list, std::size_t part, Node::Kind kind) {
    if (list.kind == Node::Kind::null) list = made(Node::Kind::list);
    const auto index = part < parts_.size() ? parse_index(parts_[part]) : std::nullopt;
    if (!index) {
      fail("is a list, a variable sets one item", variable_name(upto(part)) + "__0");
      return nullptr;
    }
    path_ = index_path(path_, *index);
    if (*index > list.items.size()) {
      fail("does not exist", "", "an index up to " + std::to_string(list.items.size()));
      return nullptr;
    }
    if (*index == list.items.size()) list.items.push_back(made(kind));
    return &list.items[*index];
  }

  void value(const KeySpec& spec, Node& node, std::size_t next, const std::string& text) {
    Node* at = &node;
    if (spec.is_list()) at = item(node, next++, Node::Kind::null);
    if (at == nullptr) return;
    if (spec.is_map()) {
      if (next >= parts_.size()) {
        return fail("is a section, a variable sets a single value",
                    variable_name(upto(next)) + "__SECURITY_PROTOCOL");
      }
      // Names of variables have no dots; names of librdkafka's properties have no underscores.
      std::string name = parts_[next++];
      std::replace(name.begin(), name.end(), '_', '.');
      path_ = join_path(path_, name);
      at = member(node, name);
    }
    if (next < parts_.size()) return fail("is a single value", variable_name(upto(next)));
    *at = made(Node::Kind::scalar);
    at->text = text;
  }

  void unknown(const SchemaNode& schema, std::size_t part) {
    std::vector<std::string> known;
    for (const SchemaNode& child : schema.children) known.push_back(child.name);
    const std::string meant = nearest(parts_[part], known);
    std::vector<std::string> parts = upto(part);
    parts.push_back(meant);
    for (std::size_t i = part + 1; i < parts_.size(); ++i) parts.push_back(parts_[i]);
    path_ = join_path(path_, parts_[part]);
    std::string allowed;
    for (const std::string& name : schema.names()) allowed += (allowed.empty() ? "" : ", ") + name;
    fail("is not a key", meant.empty() ? "" : variable_name(parts), allowed);
  }

  std::string example(const SchemaNode& section) const {
    std::vector<std::string> parts = upto(parts_.size());
    for (const SchemaNode* at = &section; !at->children.empty();) {
      at = &at->children.front();
      parts.push_back(at->name);
      if (at->kind == SchemaNode::Kind::list || at->key.is_list()) parts.emplace_back("0");
    }
    return variable_name(parts);
  }

  [[nodiscard]] std::vector<std::string> upto(std::size_t count) const {
    const std::size_t end = std::min(count, parts_.size());
    return {parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(end)};
  }

  [[nodiscard]] Node made(Node::Kind kind) const {
    Node node;
    node.kind = kind;
    node.mark = mark_;
    return node;
  }

  void fail(const char* message, const std::string& suggestion, const std::string& allowed = {}) {
    failed_ = true;
    problems_.add(mark_, path_, {message, "", allowed, suggestion});
  }

  const SchemaNode& schema_;
  std::vector<std::string> parts_;
  Mark mark_;
  Problems& problems_;
  std::string path_;
  bool failed_{false};
};

}  // namespace

void merge(Node& base, Node later) {
  using Kind = Node::Kind;
  if (base.kind == Kind::map && later.kind == Kind::map) {
    for (Member& member : later.members) {
      Node* known = base.find(member.key);
      if (known != nullptr)
        merge(*known, std::move(member.value));
      else
        base.members.push_back(std::move(member));
    }
  } else if (base.kind == Kind::list && later.kind == Kind::list) {
    for (Node& item : later.items) base.items.push_back(std::move(item));
  } else if (later.kind == Kind::refused || (later.kind == Kind::null && base.kind == Kind::map)) {
    // Reported already, or a section whose keys are all commented out.
  } else {
    base = std::move(later);
  }
}

void expand_off(const SchemaNode& schema, Node& node) {
  const SchemaNode* key = schema.off_key();
  if (key != nullptr && node.kind == Node::Kind::scalar && is_off(node.text)) {
    const Node off = node;
    node.kind = Node::Kind::map;
    node.text.clear();
    node.members.push_back({key->name, off.mark, off});
    return;
  }
  for (Member& member : node.members) {
    const SchemaNode* child = schema.find(member.key);
    if (child != nullptr && child->kind == SchemaNode::Kind::section) {
      expand_off(*child, member.value);
    }
  }
}

void apply_environment(const SchemaNode& schema, std::span<const Variable> environment, Node& root,
                       std::vector<Source>& sources, Problems& problems) {
  struct Named {
    std::vector<std::string> parts;
    const Variable* variable;
  };
  std::vector<Named> ours;
  for (const Variable& variable : environment) {
    const std::string_view name = variable.first;
    if (name.substr(0, kPrefix.size()) == kPrefix) ours.push_back({split(name), &variable});
  }
  std::stable_sort(ours.begin(), ours.end(),
                   [](const Named& a, const Named& b) { return in_order(a.parts, b.parts); });
  for (Named& named : ours) {
    sources.push_back({"environment " + printable(named.variable->first), {}, false});
    const Mark mark{sources.size() - 1, 0, 0};
    Node changed = root;
    Override change(schema, std::move(named.parts), mark, problems);
    if (change.apply(changed, named.variable->second)) root = std::move(changed);
  }
}

std::string variable_name(std::span<const std::string> parts) {
  std::string out(kPrefix.substr(0, kPrefix.size() - kSeparator.size()));
  for (const std::string& part : parts) out.append(kSeparator).append(upper(part));
  return out;
}

}  // namespace purgeline::config
