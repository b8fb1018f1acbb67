// What is wrong with a configuration: every mistake with its place, told so that it can be mended
// at once.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "control/config_node.h"

namespace purgeline {

struct ConfigError {
  std::string file;     // or "environment PURGELINE__..."
  std::size_t line{0};  // from 1; 0: the file as a whole
  std::size_t col{0};   // in characters, from 1
  std::string path;     // purge.layers[0].depth; empty for a mistake of the file
  std::string message;  // what is wrong, as the end of a sentence that begins with the path
  std::string found;    // what stands there
  std::string allowed;  // what may stand there
  std::string suggestion;
  std::string source_line;  // empty when it must not or cannot be shown
  std::size_t caret{0};     // column of the caret below source_line, from 0
  friend bool operator==(const ConfigError&, const ConfigError&) = default;
};

enum class ErrorFormat { text, json };

// Text: one paragraph an error, the source line and a caret below. JSON: {"errors": [...]}.
[[nodiscard]] std::string format_errors(std::span<const ConfigError> errors,
                                        ErrorFormat format = ErrorFormat::text);

namespace config {

inline constexpr const char* kFoundList = "a list";
inline constexpr const char* kFoundSection = "a section";
inline constexpr const char* kFoundNothing = "nothing";

// One complaint, before its place is known.
struct Complaint {
  std::string message;
  std::string found;
  std::string allowed;
  std::string suggestion;
};

// Problems: collects errors and turns marks into lines a person can see.
//
// Place:   handed through every step of loading.
// Bound:   kMaxProblems; a file with more is not one somebody wrote.
class Problems {
 public:
  explicit Problems(const std::vector<Source>& sources) : sources_(sources) {}

  void add(const Mark& mark, const std::string& path, Complaint complaint);

  [[nodiscard]] bool empty() const { return found_.empty(); }

  // In reading order: files as they were read, top to bottom, then variables.
  [[nodiscard]] std::vector<ConfigError> take();

 private:
  static constexpr std::size_t kMaxProblems = 1000;
  struct Placed {
    Mark mark;
    ConfigError error;
  };
  const std::vector<Source>& sources_;
  std::vector<Placed> found_;
};

// "FILE:LINE", or the source's name alone.
[[nodiscard]] std::string origin_of(const std::vector<Source>& sources, const Mark& mark);

}  // namespace config
}  // namespace purgeline
