#include "control/config_check.h"

#include <set>
#include <utility>
#include <vector>

#include "control/config_text.h"
#include "control/config_value.h"
#include "purgeline/check.h"

namespace purgeline::config {
namespace {

using Kind = Node::Kind;

constexpr const char* kPropertyValue = "text or {file: /path}";
constexpr std::string_view kPropertyLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

const std::string kLogPath = "log";
constexpr const char* kKafka = "kafka";
constexpr const char* kJournal = "journal";

std::string described(const Node& node) {
  switch (node.kind) {
    case Kind::null:
      return kFoundNothing;
    case Kind::list:
      return kFoundList;
    case Kind::map:
      return kFoundSection;
    case Kind::scalar:
    case Kind::refused:
      break;
  }
  return node.text;
}

// The path of the first key called `name` anywhere below, for those who put it into the wrong
// section.
std::string path_of(const SchemaNode& schema, std::string_view name, const std::string& path) {
  for (const SchemaNode& child : schema.children) {
    const std::string here = join_path(path, child.name);
    if (child.name == name && child.kind != SchemaNode::Kind::later) return here;
    if (child.kind == SchemaNode::Kind::list) continue;
    const std::string below = path_of(child, name, here);
    if (!below.empty()) return below;
  }
  return {};
}

class Checker {
 public:
  Checker(const SchemaNode& schema, Extent extent, Problems& problems)
      : schema_(schema), extent_(extent), problems_(problems) {}

  // `anchor`: where to point when something is missing.
  void section(const SchemaNode& schema, const Node& node, const Mark& anchor,
               const std::string& path) {
    if (node.kind == Kind::refused) return;
    if (node.kind != Kind::map && node.kind != Kind::null) {
      const char* form = schema.off_key() != nullptr ? "off, or the keys " : "the keys ";
      report(node.mark, path, "must be a section", node, form + list_of(schema.names()));
      return;
    }
    // Unknown keys first: what a misspelt key was meant to be is not missing.
    for (const Member& member : node.members) {
      if (schema.find(member.key) == nullptr) unknown(schema, member, path);
    }
    for (const Member& member : node.members) {
      if (schema.find(member.key) != nullptr) known(schema, member, path);
    }
    if (extent_ == Extent::part) return;
    if (path == kLogPath) one_log(node, anchor);
    for (const SchemaNode& child : schema.children) {
      if (path == kLogPath && (child.name == kKafka || child.name == kJournal)) continue;
      if (node.find(child.name) == nullptr) missing(child, anchor, join_path(path, child.name));
    }
  }

 private:
  // The two kinds of log exclude each other, and one of them has to be there.
  void one_log(const Node& node, const Mark& anchor) {
    const Node* kafka = node.find(kKafka);
    const Node* journal = node.find(kJournal);
    const std::string allowed = "one of kafka, journal";
    if (kafka != nullptr && journal != nullptr) {
      problems_.add(journal->mark, join_path(kLogPath, kJournal),
                    {"cannot stand beside log.kafka", "", allowed, ""});
    }
    if (kafka != nullptr || journal != nullptr) return;
    if (misspelt_.count(join_path(kLogPath, kKafka)) > 0) return;
    if (misspelt_.count(join_path(kLogPath, kJournal)) > 0) return;
    if (misspelt_.count(kLogPath) > 0) return;
    problems_.add(anchor, kLogPath, {"says nothing about where events come from", "", allowed, ""});
  }

  void unknown(const SchemaNode& schema, const Member& member, const std::string& path) {
    const std::vector<std::string> names = schema.names();
    std::string meant = nearest(member.key, names);
    if (!meant.empty()) {
      misspelt_.insert(join_path(path, meant));
    } else {
      meant = path_of(schema_, member.key, "");
      misspelt_.insert(meant);
    }
    problems_.add(member.mark, join_path(path, member.key),
                  {"is not a key", "", list_of(names), meant});
  }

  void known(const SchemaNode& schema, const Member& member, const std::string& path) {
    const std::string here = join_path(path, member.key);
    const SchemaNode* child = schema.find(member.key);
    CHECK(child != nullptr);
    switch (child->kind) {
      case SchemaNode::Kind::section:
        section(*child, member.value, member.mark, here);
        break;
      case SchemaNode::Kind::list:
        sections(*child, member, here);
        break;
      case SchemaNode::Kind::later:
        later(*child, member, here);
        break;
      case SchemaNode::Kind::key:
        key(child->key, member, here);
        break;
    }
  }

  // A key that a later version reads: told for each part that was written.
  void later(const SchemaNode& schema, const Member& member, const std::string& path) {
    const bool section = !schema.children.empty() && !member.value.members.empty();
    if (!section) {
      problems_.add(member.mark, path, {"is not available in this version", "", "", ""});
      return;
    }
    for (const Member& part : member.value.members) {
      if (schema.find(part.key) == nullptr)
        unknown(schema, part, path);
      else
        known(schema, part, path);
    }
  }

  void missing(const SchemaNode& schema, const Mark& anchor, const std::string& path) {
    if (misspelt_.count(path) > 0) return;
    const bool required = schema.kind == SchemaNode::Kind::key && schema.key.is_required();
    if (required) {
      problems_.add(anchor, path, {"is required and missing", "", allowed_text(schema.key), ""});
    } else if (schema.kind == SchemaNode::Kind::list && schema.minimum > 0) {
      problems_.add(anchor, path, {"is required and missing", "", length_of(schema), ""});
    } else if (schema.kind == SchemaNode::Kind::section) {
      section(schema, Node{}, anchor, path);
    }
  }

  void sections(const SchemaNode& schema, const Member& member, const std::string& path) {
    const Node& node = member.value;
    if (node.kind == Kind::refused) return;
    if (node.kind != Kind::list) {
      report(node.mark, path, "must be a list", node, length_of(schema));
      return;
    }
    count(member.mark, path, node, schema.minimum, schema.maximum, length_of(schema));
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string here = index_path(path, i);
      if (node.items[i].kind == Kind::null) {
        report(node.items[i].mark, here, "has no value", node.items[i],
               "the keys " + list_of(schema.names()));
        continue;
      }
      section(schema, node.items[i], node.items[i].mark, here);
    }
  }

  void key(const KeySpec& spec, const Member& member, const std::string& path) {
    const Node& node = member.value;
    if (node.kind == Kind::refused) return;
    if (node.kind == Kind::null) {
      report(member.mark, path, "has no value", node, allowed_text(spec));
    } else if (spec.is_list()) {
      list(spec, member, path);
    } else if (spec.is_map()) {
      map(spec, node, path);
    } else {
      scalar(spec, node, path);
    }
  }

  void list(const KeySpec& spec, const Member& member, const std::string& path) {
    const Node& node = member.value;
    if (node.kind != Kind::list) {
      Complaint complaint{"must be a list", described(node), allowed_text(spec), ""};
      if (node.kind == Kind::scalar) complaint.suggestion = "[" + node.text + "]";
      problems_.add(node.mark, path, std::move(complaint));
      return;
    }
    for (std::size_t i = 0; i < node.items.size(); ++i)
      scalar(spec, node.items[i], index_path(path, i));
    const auto limit = [](const char* text) {
      return text[0] == '\0' ? 0 : std::stoull(text);
    };
    count(member.mark, path, node, limit(spec.minimum), limit(spec.maximum), allowed_text(spec));
  }

  void map(const KeySpec& spec, const Node& node, const std::string& path) {
    if (node.kind != Kind::map) {
      report(node.mark, path, "must be a section of names and values", node, allowed_text(spec));
      return;
    }
    for (const Member& member : node.members) {
      const std::string here = join_path(path, member.key);
      if (member.key.empty() ||
          member.key.find_first_not_of(kPropertyLetters) != std::string::npos) {
        problems_.add(member.mark, here,
                      {"is not a property's name", "", "letters, digits, '.', '_' and '-'", ""});
      } else if (member.value.kind == Kind::null) {
        report(member.mark, here, "has no value", member.value, kPropertyValue);
      } else {
        property(spec, member.value, here);
      }
    }
  }

  void property(const KeySpec& spec, const Node& node, const std::string& path) {
    if (node.kind == Kind::scalar || node.kind == Kind::refused) return scalar(spec, node, path);
    const Node* file = node.members.size() == 1 ? node.find("file") : nullptr;
    if (file == nullptr) {
      report(node.mark, path, "must be a single value", node, kPropertyValue);
    } else if (file->kind != Kind::refused &&
               (file->kind != Kind::scalar || file->text.empty() || file->text[0] != '/')) {
      report(file->mark, join_path(path, "file"), "is not an absolute path", *file,
             "a path that begins with /");
    }
  }

  void scalar(const KeySpec& spec, const Node& node, const std::string& path) {
    if (node.kind == Kind::refused) return;
    if (node.kind != Kind::scalar) {
      report(node.mark, path, node.kind == Kind::null ? "has no value" : "must be a single value",
             node, allowed_text(item_spec(spec)));
      return;
    }
    auto value = parse_value(spec, node.text);
    if (!value) problems_.add(node.mark, path, std::move(value.error()));
  }

  // A list grows when files are joined, so its length is judged once, at the end.
  void count(const Mark& mark, const std::string& path, const Node& node, std::uint64_t minimum,
             std::uint64_t maximum, const std::string& allowed) {
    if (extent_ == Extent::part) return;
    const std::string found = std::to_string(node.items.size());
    if (node.items.size() < minimum)
      problems_.add(mark, path, {"has too few items", found, allowed, ""});
    if (maximum > 0 && node.items.size() > maximum) {
      problems_.add(mark, path, {"has too many items", found, allowed, ""});
    }
  }

  void report(const Mark& mark, const std::string& path, const char* message, const Node& found,
              const std::string& allowed) {
    problems_.add(mark, path, {message, described(found), allowed, ""});
  }

  static std::string list_of(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
    return out;
  }

  static std::string length_of(const SchemaNode& schema) {
    return "a list of sections, " + std::to_string(schema.minimum) + " to " +
           std::to_string(schema.maximum) + " items, each with the keys " + list_of(schema.names());
  }

  const SchemaNode& schema_;
  Extent extent_;
  Problems& problems_;
  std::set<std::string> misspelt_;  // paths that an unknown key probably meant
};

}  // namespace

void check_tree(const SchemaNode& schema, const Node& root, Extent extent, Problems& problems) {
  // What is missing at the top is missing in the file as a whole.
  const Mark anchor{root.mark.source, 0, 0};
  Checker(schema, extent, problems).section(schema, root, anchor, "");
}

std::string join_path(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

std::string index_path(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

}  // namespace purgeline::config
