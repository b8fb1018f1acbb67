#include "cli/parse.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "control/config_text.h"
#include "purgeline/check.h"

namespace purgeline::cli {
namespace {

ParsedCommand finished(ExitStatus status, std::string text) {
  ParsedCommand out;
  out.finished = Finished{status, std::move(text)};
  return out;
}

// Two lines and a hint, never the whole help: the mistake would scroll away.
ParsedCommand wrong(const std::string& where, const std::string& message,
                    const std::string& meant = {}) {
  std::string text = "purgeline: " + message + "\n";
  if (!meant.empty()) text += "Did you mean \"" + meant + "\"?\n";
  text += "See: purgeline " + where + (where.empty() ? "" : " ") + "--help\n";
  return finished(ExitStatus::usage, std::move(text));
}

// Parser: builds CLI11's tree from the table, runs it, and turns its leftovers into messages.
//
// CLI11 only splits and assigns. Help, required values and unknown words are ours, so that they
// come from the table and carry a suggestion.
class Parser {
 public:
  Parser() : table_(command_table()) {
    prepare(root_);
    root_.add_flag("--version", version_);
    for (const CommandSpec& spec : table_) add(spec);
  }

  ParsedCommand parse(int argc, const char* const* argv) {
    try {
      root_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      const Leaf* leaf = chosen();
      return wrong(leaf == nullptr ? "" : leaf->spec->words, error.what());
    }
    const Leaf* leaf = chosen();
    if (leaf == nullptr) return without_command();
    if (help_) return finished(ExitStatus::done, command_help(*leaf->spec));
    return judge(*leaf);
  }

 private:
  struct Leaf {
    const CommandSpec* spec;
    CLI::App* app;
    CommandOptions options;
  };

  void prepare(CLI::App& app) {
    app.set_help_flag();
    app.add_flag("-h,--help", help_);
    app.allow_extras();
    app.require_subcommand(0);
  }

  void add(const CommandSpec& spec) {
    const std::string words = spec.words;
    const std::size_t space = words.find(' ');
    CLI::App* parent = &root_;
    if (space != std::string::npos) {
      CLI::App*& group = groups_[words.substr(0, space)];
      if (group == nullptr) {
        group = root_.add_subcommand(words.substr(0, space));
        prepare(*group);
      }
      parent = group;
    }
    CLI::App* app =
        parent->add_subcommand(space == std::string::npos ? words : words.substr(space + 1));
    prepare(*app);
    Leaf& leaf = leaves_.emplace_back(Leaf{&spec, app, {}});
    for (const OptionSpec& option : spec.options) {
      if (option.one != nullptr) {
        leaf.options.*option.one = option.fallback;
        app->add_option(option.names, leaf.options.*option.one)->type_name(option.value);
      } else {
        // One value each time, or the first target would swallow the URLs behind it.
        app->add_option(option.names, leaf.options.*option.many)
            ->type_name(option.value)
            ->allow_extra_args(false);
      }
    }
    if (spec.operand_field != nullptr) {
      app->add_option(spec.operand_value, leaf.options.*spec.operand_field);
    }
  }

  [[nodiscard]] const Leaf* chosen() const {
    for (const Leaf& leaf : leaves_) {
      if (leaf.app->parsed()) return &leaf;
    }
    return nullptr;
  }

  // "" is the program itself.
  [[nodiscard]] std::string chosen_group() const {
    for (const auto& [name, app] : groups_) {
      if (app->parsed()) return name;
    }
    return {};
  }

  ParsedCommand without_command() {
    const std::string group = chosen_group();
    if (help_) return finished(ExitStatus::done, group_help(group));
    const std::vector<std::string> extras = leftovers(root_, true);
    if (!extras.empty()) return unknown_word(group, extras.front());
    if (version_) {
      ParsedCommand out;
      out.options.format = "text";
      return out;
    }
    return finished(ExitStatus::usage, group_help(group));
  }

  [[nodiscard]] ParsedCommand unknown_word(const std::string& group,
                                           const std::string& word) const {
    const std::string shown = "\"" + config::printable(word) + "\"";
    if (word.size() > 1 && word[0] == '-') {
      std::vector<std::string> known{"--help"};
      if (group.empty()) known.emplace_back("--version");
      return wrong(group, "unknown option " + shown, config::nearest(name_of(word), known));
    }
    std::vector<std::string> known;
    const std::string prefix = group.empty() ? "" : group + " ";
    for (const CommandSpec& spec : table_) {
      const std::string words = spec.words;
      if (words.substr(0, prefix.size()) != prefix) continue;
      const std::string rest = words.substr(prefix.size());
      known.push_back(rest.substr(0, rest.find(' ')));
    }
    const std::string meant = config::nearest(word, known);
    return wrong(group, "unknown command " + shown,
                 meant.empty() ? "" : "purgeline " + prefix + meant);
  }

  // What CLI11 could not place; it counts the "--" before operands among them.
  [[nodiscard]] static std::vector<std::string> leftovers(const CLI::App& app, bool recurse) {
    std::vector<std::string> words = app.remaining(recurse);
    words.erase(std::remove(words.begin(), words.end(), "--"), words.end());
    return words;
  }

  [[nodiscard]] static std::string name_of(const std::string& option) {
    return option.substr(0, option.find('='));
  }

  [[nodiscard]] static ParsedCommand judge(const Leaf& leaf) {
    const CommandSpec& spec = *leaf.spec;
    const std::vector<std::string> extras = leftovers(*leaf.app, false);
    if (!extras.empty()) return unknown_argument(spec, extras.front());
    for (const OptionSpec& option : spec.options) {
      if (option.required && (leaf.options.*option.many).empty()) {
        return wrong(spec.words,
                     std::string(spec.words) + " needs " + option.names + " " + option.value);
      }
      const std::vector<std::string> words = option.words();
      if (words.empty() || option.one == nullptr) continue;
      const std::string& given = leaf.options.*option.one;
      if (std::find(words.begin(), words.end(), given) != words.end()) continue;
      return wrong(spec.words,
                   std::string(option.names) + " must be " + option.value + ", not \"" +
                       config::printable(given) + "\"",
                   config::nearest(given, words));
    }
    if (spec.command == Command::purge && leaf.options.urls.empty() &&
        leaf.options.list_file.empty()) {
      return wrong(spec.words, "purge needs a URL, or a list of them with --file");
    }
    return {spec.command, leaf.options, std::nullopt};
  }

  static ParsedCommand unknown_argument(const CommandSpec& spec, const std::string& word) {
    const std::string shown = "\"" + config::printable(word) + "\"";
    if (word.size() < 2 || word[0] != '-') {
      return wrong(spec.words, std::string(spec.words) + " takes no argument " + shown);
    }
    std::vector<std::string> known{"--help"};
    for (const OptionSpec& option : spec.options) {
      const std::string names = option.names;
      known.push_back(names.substr(names.find("--")));
    }
    return wrong(spec.words, "unknown option " + shown, config::nearest(name_of(word), known));
  }

  std::vector<CommandSpec> table_;
  CLI::App root_;
  std::map<std::string, CLI::App*> groups_;
  std::deque<Leaf> leaves_;  // CLI11 keeps pointers into them
  bool help_{false};
  bool version_{false};
};

}  // namespace

ParsedCommand parse_command_line(int argc, const char* const* argv) {
  CHECK(argc >= 1);
  return Parser().parse(argc, argv);
}

}  // namespace purgeline::cli
