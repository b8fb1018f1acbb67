// Broken files and what is said about them, byte for byte. A case is NN-name.yaml or a folder
// NN-name/ with purgeline.yaml (and conf.d/), and NN-name.expected beside it. Lines "# env:
// NAME=VALUE" set variables. After a wanted change: PURGELINE_UPDATE_GOLDEN=1 config_golden_test,
// then read the diff.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "control/config_load.h"

namespace purgeline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = PURGELINE_TEST_FOLDER "/config_golden";
constexpr std::string_view kVariable = "# env: ";

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct GoldenCase {
  fs::path file;  // relative to kFolder, as messages name it
  fs::path expected;
};

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const fs::path name = entry.path().filename();
    fs::path expected = name;
    expected.replace_extension(".expected");
    if (entry.is_directory())
      cases.push_back({name / "purgeline.yaml", name.string() + ".expected"});
    else if (name.extension() == ".yaml")
      cases.push_back({name, expected});
  }
  std::sort(cases.begin(), cases.end(),
            [](const GoldenCase& a, const GoldenCase& b) { return a.file < b.file; });
  return cases;
}

std::vector<std::pair<std::string, std::string>> variables_of(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> variables;
  for (std::size_t at = text.find(kVariable); at != std::string::npos;
       at = text.find(kVariable, at + 1)) {
    const std::size_t begin = at + kVariable.size();
    const std::string line = text.substr(begin, text.find('\n', begin) - begin);
    const std::size_t equals = line.find('=');
    variables.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  return variables;
}

class ConfigGolden : public testing::TestWithParam<GoldenCase> {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    fs::current_path(kFolder);
  }
  void TearDown() override { fs::current_path(before_); }

 private:
  fs::path before_;
};

TEST_P(ConfigGolden, SaysExactlyThis) {
  const GoldenCase& golden = GetParam();
  const auto variables =
      variables_of(fs::is_regular_file(golden.file) ? read_file(golden.file) : "");
  const ConfigResult result = load_config(golden.file, variables);
  EXPECT_FALSE(result.config.has_value());
  EXPECT_FALSE(result.errors.empty());
  const std::string said = format_errors(result.errors);
  if (std::getenv("PURGELINE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(golden.expected, std::ios::binary) << said;
  }
  EXPECT_EQ(said, read_file(golden.expected));
  for (const std::string secret : {"hunter2", "MIIEvQ", "SECRET"}) {
    EXPECT_EQ(said.find(secret), std::string::npos) << "a secret is shown";
  }
}

std::string case_name(const testing::TestParamInfo<GoldenCase>& info) {
  std::string name = info.param.expected.stem().string();
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, ConfigGolden, testing::ValuesIn(golden_cases()), case_name);

TEST(ConfigGoldenFolder, HasAtLeastFortyCases) {
  EXPECT_GE(golden_cases().size(), 40U);
}

TEST(ConfigGoldenFolder, FiveMistakesAreFiveErrors) {
  const ConfigResult result = load_config(fs::path(kFolder) / "02-five-mistakes.yaml", {});
  EXPECT_EQ(result.errors.size(), 5U) << format_errors(result.errors);
}

// Every key that the design names has its broken file, those of later versions included.
TEST(ConfigGoldenFolder, EveryKeyIsAmongThem) {
  std::string all;
  for (const GoldenCase& golden : golden_cases())
    all += read_file(fs::path(kFolder) / golden.expected);
  for (const std::string key : {"state_dir",
                                "io",
                                "log.kafka.brokers",
                                "log.kafka.topics",
                                "log.kafka.group",
                                "log.kafka.start_at",
                                "log.kafka.properties",
                                "log.journal.retention",
                                "log.journal.max_size",
                                "log.catch_up.threshold",
                                "log.catch_up.min_share",
                                "intake.http.listen",
                                "intake.http.token_file",
                                "intake.htcp.listen",
                                "intake.htcp.groups",
                                "intake.http.topic_prefix",
                                "intake.http.purge_topic",
                                "intake.http.streams",
                                "intake.http.connections",
                                "intake.http.idle_timeout",
                                "intake.http.request_timeout",
                                "intake.htcp.allow_sources",
                                "intake.htcp.interface",
                                "intake.htcp.topic",
                                "intake.htcp.rate",
                                "intake.htcp.receive_buffer",
                                "purge.hosts.allow",
                                "purge.hosts.deny",
                                "purge.max_age",
                                "purge.max_useful_age",
                                "purge.layer_deadline",
                                "purge.behind_after",
                                "purge.drain_grace",
                                "purge.coalesce.window",
                                "purge.coalesce.clock_margin",
                                "purge.coalesce.capacity",
                                "purge.coalesce.bytes",
                                "purge.fence.origin_lag",
                                "purge.fence.fetch_time",
                                "purge.fence.hit_time",
                                "purge.fence.capacity",
                                "purge.fence",
                                "purge.layers",
                                "purge.layers[0].name",
                                "purge.layers[0].targets",
                                "purge.layers[0].connections",
                                "purge.layers[0].depth",
                                "purge.layers[0].connect_timeout",
                                "purge.layers[0].request_timeout",
                                "purge.layers[0].max_attempts",
                                "admin.listen",
                                "admin.compat",
                                "admin.socket",
                                "logging.format",
                                "logging.level"}) {
    const bool named = all.find(" " + key + ": ") != std::string::npos ||
                       all.find(" " + key + "[") != std::string::npos ||
                       all.find(" " + key + ".") != std::string::npos;
    EXPECT_TRUE(named) << key;
  }
}

}  // namespace
}  // namespace purgeline
