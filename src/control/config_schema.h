// The table of keys (config.def) as data: what the checks, the environment and the reference walk
// along.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "purgeline/config.h"

namespace purgeline::config {

enum class ValueType : std::uint8_t {
  duration,
  optional_duration,
  delay,  // an item of a delay_list
  delay_list,
  size,
  percent,
  optional_share,
  count,
  text,
  text_list,
  text_map,
  boolean,
  address,
  address_list,
  optional_address,
  start_at,
  io_kind,
  log_format,
  log_level,
  metrics_compat,
};

enum class Reload : std::uint8_t { now, restart };

// One KEY of the table.
struct KeySpec {
  const char* name;
  ValueType type;
  const char* fallback;  // the default, as a person writes it
  const char* minimum;
  const char* maximum;
  Reload reload;
  const char* sentence;

  [[nodiscard]] bool is_list() const {
    return type == ValueType::text_list || type == ValueType::address_list ||
           type == ValueType::delay_list;
  }
  [[nodiscard]] bool is_map() const { return type == ValueType::text_map; }
  // No default, and less than one is not allowed.
  [[nodiscard]] bool is_required() const;
  // Of one item of a list or map, else the key's own type.
  [[nodiscard]] ValueType item_type() const;
};

struct SchemaNode {
  // later: known, but only a later version can do it.
  enum class Kind : std::uint8_t { key, section, list, later };
  Kind kind{Kind::section};
  std::string name;
  std::string sentence;
  KeySpec key{};             // of a key
  std::uint64_t minimum{0};  // items of a list
  std::uint64_t maximum{0};
  std::vector<SchemaNode> children;  // of a section, and of each item of a list

  [[nodiscard]] const SchemaNode* find(std::string_view name) const;
  // The children that can be used, as suggestions.
  [[nodiscard]] std::vector<std::string> names() const;
  // The key that a section written as `off` means; null when it cannot be.
  [[nodiscard]] const SchemaNode* off_key() const;
};

[[nodiscard]] SchemaNode make_schema();

// visit(section, visitor) calls visitor.key(KeySpec, field), visitor.sub(name, sentence, section)
// and visitor.list(name, minimum, maximum, sentence, items) in the table's order.
#define SECTION(Struct)                                         \
  template <class Section, class Visitor>                       \
  requires std::is_same_v<std::remove_const_t<Section>, Struct> \
  void visit(Section& self, Visitor& visitor) {
#define KEY(type, name, default_, minimum, maximum, reload, sentence)                        \
  visitor.key(                                                                               \
      KeySpec{#name, ValueType::type, default_, minimum, maximum, Reload::reload, sentence}, \
      self.name);
#define SUB(Struct, name, sentence) visitor.sub(#name, sentence, self.name);
#define LIST(Struct, name, minimum, maximum, sentence) \
  visitor.list(#name, minimum, maximum, sentence, self.name);
#define END(Struct) }
#include "purgeline/config.def"
#undef SECTION
#undef KEY
#undef SUB
#undef LIST
#undef END

}  // namespace purgeline::config
