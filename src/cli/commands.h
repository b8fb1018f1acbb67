// The table of commands (commands.def) as data, and the texts made from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace purgeline::cli {

enum class Command : std::uint8_t {
#define COMMAND(name, words, operands, summary, details) name,
#define OPTION(command, field, kind, names, value, fallback, sentence)
#define OPERANDS(command, field, value, sentence)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
#undef OPERANDS
};

// What the options were set to. Each command uses those that the table gives it.
struct CommandOptions {
  std::string config_file;
  std::string format;  // text or json
  std::string io;      // auto, uring or epoll
  std::string list_file;
  std::vector<std::string> targets;
  std::vector<std::string> urls;
};

struct OptionSpec {
  const char* names;  // "-c,--config"
  const char* value;  // "FILE", or the words that are allowed: "text|json"
  const char* fallback;
  const char* sentence;
  std::string CommandOptions::*one;  // exactly one of the two is set
  std::vector<std::string> CommandOptions::*many;
  bool required;

  // The words that are allowed, empty when any text is.
  [[nodiscard]] std::vector<std::string> words() const;
};

struct CommandSpec {
  Command command;
  const char* words;  // "config check"
  const char* operands;
  const char* summary;
  const char* details;
  std::vector<OptionSpec> options;
  // What stands without a dash; null when nothing may.
  std::vector<std::string> CommandOptions::*operand_field{nullptr};
  const char* operand_value{""};
  const char* operand_sentence{""};
};

[[nodiscard]] std::vector<CommandSpec> command_table();

// At most this many columns: the narrowest terminal that is still in use.
inline constexpr std::size_t kHelpColumns = 80;

// `purgeline --help`, and `purgeline config --help` for a group of commands ("" is the whole
// program).
[[nodiscard]] std::string group_help(const std::string& group);
// `purgeline COMMAND --help`.
[[nodiscard]] std::string command_help(const CommandSpec& command);
// docs/cli.md.
[[nodiscard]] std::string command_docs();

}  // namespace purgeline::cli
