// The command line: what is read, what is refused and how, and the texts made from the tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/config_command.h"
#include "cli/parse.h"
#include "cli/version.h"

namespace purgeline::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kGolden = PURGELINE_TEST_FOLDER "/config_golden/";

// Words are separated by single spaces.
ParsedCommand parse(const std::string& line) {
  std::vector<std::string> words{"purgeline"};
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, ' ');) words.push_back(word);
  std::vector<const char*> argv;
  argv.reserve(words.size());
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

TEST(CommandLine, Commands) {
  EXPECT_EQ(parse("run").command, Command::run);
  EXPECT_EQ(parse("run").options.config_file, "/etc/purgeline/purgeline.yaml");
  EXPECT_EQ(parse("run -c a.yaml").options.config_file, "a.yaml");
  EXPECT_EQ(parse("run --config=a.yaml").options.config_file, "a.yaml");
  EXPECT_EQ(parse("config check").command, Command::config_check);
  EXPECT_EQ(parse("config check --format json").options.format, "json");
  EXPECT_EQ(parse("config show -c a").command, Command::config_show);
  EXPECT_EQ(parse("config docs").command, Command::config_docs);
  EXPECT_EQ(parse("version").command, Command::version);
  EXPECT_EQ(parse("--version").command, Command::version);
  for (const std::string line : {"run", "config docs", "version", "--version"}) {
    EXPECT_FALSE(parse(line).finished.has_value()) << line;
  }
}

TEST(CommandLine, Purge) {
  const ParsedCommand parsed =
      parse("purge --target a:1 -t unix:/b http://x/1 -t [::1]:2 http://x/2 --io epoll -f -");
  EXPECT_FALSE(parsed.finished.has_value());
  EXPECT_EQ(parsed.command, Command::purge);
  EXPECT_THAT(parsed.options.targets, ElementsAre("a:1", "unix:/b", "[::1]:2"));
  EXPECT_THAT(parsed.options.urls, ElementsAre("http://x/1", "http://x/2"));
  EXPECT_EQ(parsed.options.io, "epoll");
  EXPECT_EQ(parsed.options.list_file, "-");
  EXPECT_THAT(parse("purge -t a:1 -- -odd").options.urls, ElementsAre("-odd"));
}

// Bytes of a URL decide about the cache key; none of them is the parser's business.
TEST(CommandLine, UrlsAreTakenAsTheyAre) {
  const std::string url = "http://x/%41?a=[1,2],{3}&b=\"'$HOME\\";
  EXPECT_THAT(parse("purge -t a:1 " + url).options.urls, ElementsAre(url));
}

struct Wrong {
  std::string line;
  std::string says;
};

TEST(CommandLine, WrongUsageExitsWithTwoAndAHint) {
  const std::vector<Wrong> rows{
      {"rnu", "unknown command \"rnu\"\nDid you mean \"purgeline run\"?\nSee: purgeline --help\n"},
      {"config chek",
       "unknown command \"chek\"\nDid you mean \"purgeline config check\"?\nSee: purgeline config "
       "--help\n"},
      {"confg check", "Did you mean \"purgeline config\"?"},
      {"nonsense", "unknown command \"nonsense\"\nSee: purgeline --help\n"},
      {"--versoin", "unknown option \"--versoin\"\nDid you mean \"--version\"?"},
      {"run --confg=x",
       "unknown option \"--confg=x\"\nDid you mean \"--config\"?\nSee: purgeline run --help\n"},
      {"run extra", "run takes no argument \"extra\""},
      {"run -c", "--config"},
      {"run -x", "unknown option \"-x\""},
      {"config check --format xml", "--format must be text|json, not \"xml\""},
      {"config check --format jsn", "Did you mean \"json\"?"},
      {"purge http://x/", "purge needs -t,--target ADDRESS"},
      {"purge -t a:1", "purge needs a URL"},
      {"purge -t a:1 --io rings http://x/", "--io must be auto|uring|epoll, not \"rings\""},
      {"purge --traget a:1 http://x/", "Did you mean \"--target\"?"},
      {"\x1b[31m", "\"\\x1b[31m\""},
  };
  for (const Wrong& row : rows) {
    const ParsedCommand parsed = parse(row.line);
    ASSERT_TRUE(parsed.finished.has_value()) << row.line;
    EXPECT_EQ(parsed.finished->status, ExitStatus::usage) << row.line;
    EXPECT_THAT(parsed.finished->text, StartsWith("purgeline: ")) << row.line;
    EXPECT_THAT(parsed.finished->text, HasSubstr(row.says)) << row.line;
  }
}

TEST(CommandLine, NoCommandIsWrongUsage) {
  for (const std::string line : {"config"}) {
    EXPECT_EQ(parse(line).finished->status, ExitStatus::usage);
    EXPECT_EQ(parse(line).finished->text, group_help("config"));
  }
  const char* argv[] = {"purgeline"};
  EXPECT_EQ(parse_command_line(1, argv).finished->status, ExitStatus::usage);
}

TEST(CommandLine, HelpIsPrintedAndDone) {
  EXPECT_EQ(parse("--help").finished->text, group_help(""));
  EXPECT_EQ(parse("-h").finished->status, ExitStatus::done);
  EXPECT_EQ(parse("config --help").finished->text, group_help("config"));
  for (const CommandSpec& command : command_table()) {
    const ParsedCommand parsed = parse(std::string(command.words) + " --help");
    ASSERT_TRUE(parsed.finished.has_value()) << command.words;
    EXPECT_EQ(parsed.finished->status, ExitStatus::done);
    EXPECT_EQ(parsed.finished->text, command_help(command));
  }
}

TEST(CommandLine, HelpFitsTheTerminal) {
  std::string all = group_help("") + group_help("config");
  for (const CommandSpec& command : command_table()) all += command_help(command);
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), kHelpColumns) << line;
  for (const std::string words :
       {"config check", "78", "--version", "--target", "LIST", "SIGTERM"}) {
    EXPECT_THAT(all, HasSubstr(words));
  }
}

TEST(CommandLine, DocsAreInTheTree) {
  const std::string path = PURGELINE_TEST_FOLDER "/../../docs/cli.md";
  if (std::getenv("PURGELINE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << command_docs();
  std::ifstream stream(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), command_docs())
      << "run the test with PURGELINE_UPDATE_GOLDEN=1";
}

TEST(CommandLine, ExitStatusesAreThoseOfTheDesign) {
  EXPECT_EQ(static_cast<int>(ExitStatus::done), 0);
  EXPECT_EQ(static_cast<int>(ExitStatus::failed), 1);
  EXPECT_EQ(static_cast<int>(ExitStatus::usage), 2);
  EXPECT_EQ(static_cast<int>(ExitStatus::unreachable), 69);
  EXPECT_EQ(static_cast<int>(ExitStatus::try_later), 75);
  EXPECT_EQ(static_cast<int>(ExitStatus::configuration), 78);
}

TEST(Version, NamesTheLibraries) {
  const VersionInfo info{"0.1.0", "g++ 12.2", "2.0.2", "2.3", "3.40.1"};
  EXPECT_EQ(version_text(info, "text"),
            "purgeline 0.1.0\ncompiler g++ 12.2\nlibrdkafka 2.0.2\nliburing 2.3\nsqlite 3.40.1\n");
  EXPECT_EQ(version_text(info, "json"),
            "{\"version\": \"0.1.0\", \"compiler\": \"g++ 12.2\", \"librdkafka\": \"2.0.2\", "
            "\"liburing\": \"2.3\", \"sqlite\": \"3.40.1\"}\n");
}

struct Ran {
  ExitStatus status;
  std::string out;
  std::string err;
};

Ran run(const std::string& line) {
  std::ostringstream out;
  std::ostringstream err;
  const ExitStatus status = run_config_command(parse(line), {}, out, err);
  return {status, out.str(), err.str()};
}

TEST(ConfigCommand, FiveMistakesAreFive) {
  const std::string file = std::string(kGolden) + "02-five-mistakes.yaml";
  const Ran text = run("config check -c " + file);
  EXPECT_EQ(text.status, ExitStatus::configuration);
  EXPECT_EQ(text.out, "");
  EXPECT_THAT(text.err, HasSubstr(file + ":2:5: io: "));
  EXPECT_THAT(text.err, testing::EndsWith(file + ": 5 errors\n"));
  const Ran json = run("config check --format json -c " + file);
  EXPECT_EQ(json.status, ExitStatus::configuration);
  EXPECT_THAT(json.out, StartsWith("{\"errors\": ["));
  EXPECT_EQ(json.err, "");
  EXPECT_EQ(run("config show -c " + file).status, ExitStatus::configuration);
}

TEST(ConfigCommand, GoodFile) {
  const std::string file = testing::TempDir() + "purgeline-cli-good.yaml";
  std::ofstream(file) << "log: {kafka: {brokers: [k:1], topics: [t, u]}}\n"
                         "purge: {layers: [{name: a, targets: [c:80]}]}\n";
  const Ran check = run("config check -c " + file);
  EXPECT_EQ(check.status, ExitStatus::done) << check.err;
  EXPECT_EQ(check.out, file + ": ok\n  2 topics from 1 broker; 1 layer with 1 target\n");
  EXPECT_EQ(run("config check --format json -c " + file).out, "{\"errors\": []}\n");
  const Ran show = run("config show -c " + file);
  EXPECT_EQ(show.status, ExitStatus::done);
  EXPECT_THAT(show.out, HasSubstr("      - t  # " + file + ":1\n"));
  EXPECT_EQ(run("config docs").status, ExitStatus::done);
  EXPECT_THAT(run("config docs").out, StartsWith("# Configuration\n"));
  ASSERT_EQ(std::remove(file.c_str()), 0);
}

}  // namespace
}  // namespace purgeline::cli
