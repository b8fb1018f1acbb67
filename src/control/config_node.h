// What a configuration file says, before anybody knows what it means: a tree of nodes with marks.
//
// Place:   made by config_yaml, joined by config_merge, judged by config_check, bound by
// config_bind. Thread:  whichever loads the configuration; nothing is shared. Bound:   kMaxNodes
// nodes, kMaxDepth levels, kMaxFileBytes bytes a file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace purgeline::config {

inline constexpr std::size_t kMaxFileBytes = 1U << 20;  // thousands of times a real file
inline constexpr std::size_t kMaxNodes = 10'000;  // the host lists may be long, nothing else is
inline constexpr std::size_t kMaxDepth = 16;      // the table needs 5

// A place in a source, counted from 1. Line 0: the source as a whole.
struct Mark {
  std::size_t source{0};
  std::size_t line{0};
  std::size_t column{0};  // in bytes; messages count characters
};

// A file, or one environment variable.
struct Source {
  std::string name;
  std::vector<std::string> lines;  // without line ends; empty for a variable
  bool broken{false};              // it could not be read to the end
};

struct Member;

struct Node {
  // refused: already reported (an alias, a tag); nothing more is said about it.
  enum class Kind { null, scalar, map, list, refused };
  Kind kind{Kind::null};
  Mark mark;
  std::string text;
  std::vector<Member> members;  // of a map, in order
  std::vector<Node> items;      // of a list

  // Null when this is no map, or has no such key.
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
};

struct Member {
  std::string key;
  Mark mark;  // the key's
  Node value;
};

inline const Node* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

inline Node* Node::find(std::string_view key) {
  for (Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

}  // namespace purgeline::config
