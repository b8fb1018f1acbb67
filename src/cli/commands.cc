#include "cli/commands.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

namespace purgeline::cli {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kMinimumText =
    30;  // columns left for the sentence, else it gets a line of its own

struct Status {
  int number;
  const char* sentence;
};

std::vector<Status> exit_statuses() {
  return {
#define EXIT_STATUS(name, number, sentence) {number, sentence},
#include "cli/exit_status.def"
#undef EXIT_STATUS
  };
}

// A row of two columns; the second is broken between words.
using Row = std::pair<std::string, std::string>;

std::string wrapped(const std::string& text, std::size_t indent, std::size_t column) {
  std::string out;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (column > indent && column + 1 + word.size() > kHelpColumns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string table(const std::vector<Row>& rows) {
  std::size_t width = 0;
  for (const auto& [left, right] : rows) {
    if (kIndent + left.size() + kIndent + kMinimumText <= kHelpColumns)
      width = std::max(width, left.size());
  }
  const std::size_t second = kIndent + width + kIndent;
  std::string out;
  for (const auto& [left, right] : rows) {
    out += std::string(kIndent, ' ') + left;
    if (left.size() > width)
      out += "\n" + std::string(second, ' ');
    else
      out += std::string(second - kIndent - left.size(), ' ');
    out += wrapped(right, second, second);
  }
  return out;
}

std::string option_names(const OptionSpec& option) {
  std::string names = option.names;
  if (const std::size_t comma = names.find(','); comma != std::string::npos)
    names.insert(comma + 1, " ");
  return names + " " + option.value;
}

std::string option_text(const OptionSpec& option) {
  std::string text = option.sentence;
  if (option.fallback[0] != '\0') text += " Default: " + std::string(option.fallback) + ".";
  return text;
}

std::string usage_of(const CommandSpec& command) {
  std::string out = "purgeline " + std::string(command.words);
  for (const OptionSpec& option : command.options) {
    const std::string name = option.names;
    const std::string text = name.substr(0, name.find(',')) + " " + option.value;
    out += option.required ? " " + text : " [" + text + "]";
    if (option.many != nullptr) out += "...";
  }
  if (command.operands[0] != '\0') out += " [" + std::string(command.operands) + "]";
  return out;
}

std::vector<Row> option_rows(const CommandSpec& command) {
  std::vector<Row> rows;
  if (command.operand_field != nullptr)
    rows.emplace_back(command.operand_value, command.operand_sentence);
  for (const OptionSpec& option : command.options) {
    rows.emplace_back(option_names(option), option_text(option));
  }
  rows.emplace_back("-h, --help", "Print this help.");
  return rows;
}

std::vector<Row> status_rows() {
  std::vector<Row> rows;
  for (const Status& status : exit_statuses()) {
    rows.emplace_back(std::to_string(status.number), status.sentence);
  }
  return rows;
}

}  // namespace

std::vector<std::string> OptionSpec::words() const {
  std::vector<std::string> out;
  const std::string all = value;
  if (all.find('|') == std::string::npos) return out;
  std::istringstream stream(all);
  for (std::string word; std::getline(stream, word, '|');) out.push_back(word);
  return out;
}

std::vector<CommandSpec> command_table() {
  using Many = std::vector<std::string> CommandOptions::*;
  using One = std::string CommandOptions::*;
  std::vector<CommandSpec> table;
  const auto add_one = [&](One field, OptionSpec option) {
    option.one = field;
    table.back().options.push_back(option);
  };
  const auto add_some = [&](Many field, OptionSpec option) {
    option.many = field;
    option.required = true;
    table.back().options.push_back(option);
  };
#define COMMAND(name, words, operands, summary, details) \
  table.push_back({Command::name, words, operands, summary, details, {}, nullptr, "", ""});
#define OPTION(command, field, kind, names, value, fallback, sentence) \
  add_##kind(&CommandOptions::field, {names, value, fallback, sentence, nullptr, nullptr, false});
#define OPERANDS(command, field, value, sentence)      \
  table.back().operand_field = &CommandOptions::field; \
  table.back().operand_value = value;                  \
  table.back().operand_sentence = sentence;
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
#undef OPERANDS
  return table;
}

std::string group_help(const std::string& group) {
  const std::string prefix = group.empty() ? "" : group + " ";
  std::string out = "Usage: purgeline " + prefix + "COMMAND [OPTIONS]\n\n";
  if (group.empty()) out += "Purgeline keeps HTTP caches fresh.\n\n";
  out += "Commands:\n";
  std::vector<Row> rows;
  for (const CommandSpec& command : command_table()) {
    const std::string_view words = command.words;
    if (words.substr(0, prefix.size()) == prefix) rows.emplace_back(words, command.summary);
  }
  out += table(rows) + "\nOptions:\n";
  std::vector<Row> options{{"-h, --help", "Print this help; also after a command."}};
  if (group.empty())
    options.emplace_back("--version", "Print the version, the compiler and the libraries.");
  out += table(options);
  if (group.empty()) out += "\nExit status:\n" + table(status_rows());
  return out;
}

std::string command_help(const CommandSpec& command) {
  const std::string head = "Usage: ";
  std::string out = head + wrapped(usage_of(command), head.size() + 2, head.size());
  out += "\n" + wrapped(command.summary, 0, 0);
  if (command.details[0] != '\0') out += "\n" + wrapped(command.details, 0, 0);
  return out + "\nOptions:\n" + table(option_rows(command));
}

std::string command_docs() {
  std::string out =
      "# Command line\n\n<!-- Written from src/cli/commands.def and exit_status.def; change those "
      "instead. -->\n\n```\n" +
      group_help("") + "```\n";
  for (const CommandSpec& command : command_table()) {
    out += "\n## purgeline " + std::string(command.words) + "\n\n```\n" + command_help(command) +
           "```\n";
  }
  out += "\n## Exit statuses\n\n| Status | Meaning |\n|---|---|\n";
  for (const auto& [number, sentence] : status_rows())
    out += "| " + number + " | " + sentence + " |\n";
  return out;
}

}  // namespace purgeline::cli
