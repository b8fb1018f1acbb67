// Whole configurations that are right: values, defaults, origins, joining, the environment,
// printing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "control/config_load.h"
#include "control/config_show.h"

namespace purgeline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using Texts = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kLeast = R"(log:
  kafka:
    brokers: [kafka1:9092]
    topics: [purges]
purge:
  layers:
    - {name: backend, targets: ['127.0.0.1:3128']}
)";

ConfigResult load(const Texts& texts, const Texts& environment = {}) {
  return load_config_texts(texts, environment);
}

Config good(const Texts& texts, const Texts& environment = {}) {
  const ConfigResult result = load(texts, environment);
  EXPECT_TRUE(result.errors.empty()) << format_errors(result.errors);
  return result.config.value_or(Config{});
}

TEST(ConfigLoad, DefaultsAreTheTables) {
  const Config config = good({{"a.yaml", kLeast}});
  EXPECT_EQ(config.state_dir, "/var/lib/purgeline");
  EXPECT_EQ(config.io, IoKind::automatic);
  EXPECT_EQ(config.log.kafka.group, "");
  EXPECT_EQ(config.log.kafka.start_at, StartAt(Duration(24h)));
  EXPECT_EQ(config.log.catch_up.min_share, 10U);
  EXPECT_FALSE(config.purge.max_age.has_value());
  EXPECT_EQ(config.purge.max_useful_age, 24h);
  EXPECT_EQ(config.purge.coalesce.window, 100ms);
  EXPECT_EQ(config.purge.coalesce.clock_margin, Duration(2s));
  EXPECT_EQ(config.purge.coalesce.capacity, 1'000'000U);
  EXPECT_EQ(config.purge.coalesce.bytes, 512ULL << 20);
  ASSERT_EQ(config.purge.layers.size(), 1U);
  EXPECT_EQ(config.purge.layers[0].depth, 64U);
  EXPECT_EQ(config.purge.layers[0].targets[0].host, "127.0.0.1");
  EXPECT_EQ(config.purge.layers[0].targets[0].port, 3128);
  EXPECT_EQ(config.admin.listen->text, "127.0.0.1:2112");
  EXPECT_EQ(config.admin.compat, MetricsCompat::purged);
  EXPECT_EQ(config.logging.format, LogFormat::text);
  EXPECT_EQ(config.logging.level, LogLevel::info);
}

TEST(ConfigLoad, EveryKeyIsRead) {
  const std::string text = R"(%YAML 1.2
---
state_dir: /srv/p
io: epoll
log:
  kafka:
    brokers: ['[::1]:9092', b:1]
    topics: [a, b]
    group: g
    start_at: 2026-01-31
    properties: {security.protocol: ssl, "sasl.password": p}
  catch_up: {threshold: 1m, min_share: 50%}
purge:
  hosts: {allow: ['*.example.org', '/^a[0-9]+$/'], deny: [b.example.org]}
  max_age: 1h
  max_useful_age: 7d
  layer_deadline: 2s
  drain_grace: 0s
  rebound: [1s, 11s, 1m, 5m]
  coalesce: {window: 0s, clock_margin: 'off', capacity: 70000, bytes: 1MiB}
  layers:
    - name: backend
      targets: [a:1, "unix:/run/x"]
      connections: 64
      depth: 1024
      connect_timeout: 10ms
      request_timeout: 10m
      max_attempts: 1000
admin: {listen: off, compat: no}
logging: {format: json, level: debug}
)";
  const Config config = good({{"a.yaml", text}});
  EXPECT_EQ(config.state_dir, "/srv/p");
  EXPECT_EQ(config.io, IoKind::epoll);
  EXPECT_EQ(config.log.kafka.brokers[0].host, "::1");
  EXPECT_EQ(config.log.kafka.topics, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.log.kafka.start_at, StartAt(WallTime(1769817600s)));
  EXPECT_EQ(config.log.kafka.properties.at("sasl.password").text, "p");
  EXPECT_EQ(config.log.catch_up.threshold, 1min);
  EXPECT_EQ(config.purge.hosts.allow.size(), 2U);
  EXPECT_EQ(config.purge.max_age, Duration(1h));
  EXPECT_EQ(config.purge.rebound, (std::vector<Duration>{1s, 11s, 1min, 5min}));
  EXPECT_FALSE(config.purge.coalesce.clock_margin.has_value());
  EXPECT_EQ(config.purge.layers[0].targets[1].unix_path, "/run/x");
  EXPECT_EQ(config.purge.layers[0].request_timeout, 10min);
  EXPECT_FALSE(config.admin.listen.has_value());
  EXPECT_EQ(config.admin.compat, MetricsCompat::off);
  EXPECT_EQ(config.logging.level, LogLevel::debug);
}

TEST(ConfigLoad, FilesAreJoined) {
  const ConfigResult result =
      load({{"a.yaml", kLeast},
            {"b.yaml", "io: uring\nlog: {kafka: {topics: [more]}}\nadmin:\n"},
            {"c.yaml", "io: epoll\npurge:\n  layers:\n    - {name: f, targets: [f:80]}\n"}});
  ASSERT_TRUE(result.config.has_value()) << format_errors(result.errors);
  EXPECT_EQ(result.config->io, IoKind::epoll);
  EXPECT_EQ(result.config->log.kafka.topics, (std::vector<std::string>{"purges", "more"}));
  ASSERT_EQ(result.config->purge.layers.size(), 2U);
  EXPECT_EQ(result.config->purge.layers[1].name, "f");
  EXPECT_EQ(result.origins.at("io"), "c.yaml:1");
  EXPECT_EQ(result.origins.at("state_dir"), "default");
  EXPECT_EQ(result.origins.at("log.kafka.topics[1]"), "b.yaml:2");
  EXPECT_EQ(result.origins.at("purge.layers[1].name"), "c.yaml:4");
  EXPECT_EQ(result.origins.at("purge.layers[1].depth"), "default");
}

TEST(ConfigLoad, VariablesOverrideAndAdd) {
  const ConfigResult result =
      load({{"a.yaml", kLeast}}, {{"PATH", "/bin"},
                                  {"PURGELINE_CACHE", "/x"},
                                  {"PURGELINE__ADMIN__LISTEN", "127.0.0.1:9"},
                                  {"PURGELINE__STATE_DIR", "/srv"},
                                  {"PURGELINE__PURGE__LAYERS__0__DEPTH", "8"},
                                  {"PURGELINE__PURGE__LAYERS__1__TARGETS__0", "front:80"},
                                  {"PURGELINE__PURGE__LAYERS__1__NAME", "front"},
                                  {"PURGELINE__LOG__KAFKA__BROKERS__0", "other:1"},
                                  {"PURGELINE__LOG__KAFKA__BROKERS__1", "added:1"},
                                  {"PURGELINE__LOG__KAFKA__PROPERTIES__SASL_PASSWORD", "p"}});
  ASSERT_TRUE(result.config.has_value()) << format_errors(result.errors);
  EXPECT_EQ(result.config->admin.listen->text, "127.0.0.1:9");
  EXPECT_EQ(result.config->state_dir, "/srv");
  EXPECT_EQ(result.config->purge.layers[0].depth, 8U);
  ASSERT_EQ(result.config->purge.layers.size(), 2U);
  EXPECT_EQ(result.config->purge.layers[1].targets[0].text, "front:80");
  EXPECT_EQ(result.config->log.kafka.brokers[0].text, "other:1");
  EXPECT_EQ(result.config->log.kafka.brokers[1].text, "added:1");
  EXPECT_EQ(result.config->log.kafka.properties.at("sasl.password").text, "p");
  EXPECT_EQ(result.origins.at("admin.listen"), "environment PURGELINE__ADMIN__LISTEN");
}

// With eleven items the order of names is not the order of numbers.
TEST(ConfigLoad, VariablesAddItemsInTheOrderOfTheirNumbers) {
  Texts environment;
  for (int i = 12; i > 0; --i) {
    const std::string number = std::to_string(i);
    environment.emplace_back("PURGELINE__LOG__KAFKA__TOPICS__" + number, "t" + number);
  }
  const Config config = good({{"a.yaml", kLeast}}, environment);
  ASSERT_EQ(config.log.kafka.topics.size(), 13U);
  EXPECT_EQ(config.log.kafka.topics[12], "t12");
}

TEST(ConfigLoad, EverythingFromVariables) {
  const Config config =
      good({{"a.yaml", ""}}, {{"PURGELINE__LOG__KAFKA__BROKERS__0", "k:1"},
                              {"PURGELINE__LOG__KAFKA__TOPICS__0", "t"},
                              {"PURGELINE__PURGE__LAYERS__0__NAME", "l"},
                              {"PURGELINE__PURGE__LAYERS__0__TARGETS__0", "c:80"}});
  EXPECT_EQ(config.purge.layers.at(0).targets.at(0).text, "c:80");
}

TEST(ConfigLoad, TooMuchIsRefused) {
  std::string items;
  for (int i = 0; i < 10001; ++i) items += "a,";
  const ConfigResult many = load({{"a.yaml", "purge: {hosts: {allow: [" + items + "]}}\n"}});
  EXPECT_THAT(format_errors(many.errors), HasSubstr("has too many values, allowed: at most 10000"));
  const ConfigResult deep = load({{"a.yaml", std::string(100000, '[')}});
  EXPECT_THAT(format_errors(deep.errors), HasSubstr("is nested too deeply"));
  std::string unknown;
  for (int i = 0; i < 4000; ++i) unknown += "k" + std::to_string(i) + ": 1\n";
  const ConfigResult wrong = load({{"a.yaml", unknown}});
  EXPECT_EQ(wrong.errors.size(), 1001U);
  EXPECT_EQ(wrong.errors.back().message, "and more mistakes, which are not listed");
}

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "purgeline-config-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigFiles, ConfDIsReadInByteOrder) {
  const auto file = write("purgeline.yaml", kLeast);
  write("conf.d/b.yaml", "io: epoll\n");
  write("conf.d/B.yaml", "io: uring\n");
  write("conf.d/.hidden.yaml", "io: nonsense\n");
  write("conf.d/README", "io: nonsense\n");
  const ConfigResult result = load_config(file, {});
  ASSERT_TRUE(result.config.has_value()) << format_errors(result.errors);
  EXPECT_EQ(result.config->io, IoKind::epoll);
  EXPECT_EQ(result.files.size(), 3U);
  EXPECT_EQ(result.origins.at("io"), (folder_ / "conf.d/b.yaml").string() + ":1");
}

TEST_F(ConfigFiles, WhatIsNoOrdinaryFileIsRefused) {
  EXPECT_THAT(format_errors(load_config(folder_ / "none.yaml", {}).errors),
              HasSubstr("cannot be opened: No such file"));
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(format_errors(load_config(folder_ / "pipe", {}).errors),
              HasSubstr("is not a regular file"));
  const auto large = write("large.yaml", std::string((1U << 20) + 1, '#'));
  EXPECT_THAT(format_errors(load_config(large, {}).errors), HasSubstr("is larger than 1 MiB"));
}

TEST(ConfigShow, ReadsBackAsTheSame) {
  const ConfigResult first = load({{"a.yaml", config_example()}},
                                  {{"PURGELINE__LOG__KAFKA__PROPERTIES__CLIENT_ID", "a \"b\": #\\"},
                                   {"PURGELINE__LOG__KAFKA__GROUP", "null"},
                                   {"PURGELINE__PURGE__HOSTS__DENY__0", "/[a-z]: #/"},
                                   {"PURGELINE__PURGE__REBOUND__0", "11s"},
                                   {"PURGELINE__PURGE__REBOUND__1", "90s"},
                                   {"PURGELINE__PURGE__LAYERS__1__TARGETS__1", "[::1]:80"}});
  ASSERT_TRUE(first.config.has_value()) << format_errors(first.errors);
  const std::string shown = show_config(*first.config, first.origins);
  EXPECT_EQ(good({{"shown.yaml", shown}}), *first.config) << shown;
  EXPECT_THAT(shown, HasSubstr("state_dir: /var/lib/purgeline  # default\n"));
  EXPECT_THAT(shown, HasSubstr("    - kafka1001:9092  # a.yaml:3\n"));
  EXPECT_THAT(shown, HasSubstr("# environment PURGELINE__LOG__KAFKA__GROUP\n"));
}

TEST(ConfigShow, MasksSecrets) {
  const ConfigResult result =
      load({{"a.yaml", kLeast},
            {"b.yaml",
             "log: {kafka: {properties: {sasl.password: hunter2, ssl.key.password: hunter2}}}\n"}});
  ASSERT_TRUE(result.config.has_value());
  const std::string shown = show_config(*result.config, result.origins);
  EXPECT_THAT(shown, HasSubstr("sasl.password: \"***\"  # b.yaml:1"));
  EXPECT_THAT(shown, Not(HasSubstr("hunter2")));
}

// A file with `text`, and a configuration whose password is in it.
ConfigResult load_with_password_file(const std::string& text) {
  const auto path = std::filesystem::path(testing::TempDir()) / "config_load_password";
  std::ofstream(path, std::ios::binary) << text;
  ConfigResult result = load({{"a.yaml", kLeast},
                              {"b.yaml", "log: {kafka: {properties: {sasl.password: {file: '" +
                                             path.string() + "'}}}}\n"}});
  std::filesystem::remove(path);
  return result;
}

TEST(ConfigPropertyFiles, HoldTheValueWithoutItsLineEnd) {
  const std::pair<const char*, const char*> rows[] = {{"hunter2\n", "hunter2"},
                                                      {"hunter2", "hunter2"},
                                                      {"hunter2\r\n", "hunter2"},
                                                      {" hunter2 \n\n", " hunter2 \n"},
                                                      {"-----BEGIN\nx\n", "-----BEGIN\nx"}};
  for (const auto& [text, value] : rows) {
    const ConfigResult result = load_with_password_file(text);
    ASSERT_TRUE(result.config.has_value()) << format_errors(result.errors);
    const TextOrFile& password = result.config->log.kafka.properties.at("sasl.password");
    EXPECT_EQ(password.text, value);
    const std::string shown = show_config(*result.config, result.origins);
    EXPECT_THAT(shown, HasSubstr("sasl.password: {file: " + password.file + "}  # b.yaml:1"));
    EXPECT_THAT(shown, Not(HasSubstr("hunter2")));
  }
}

TEST(ConfigPropertyFiles, ThatHoldNoValueAreErrors) {
  const std::pair<std::string, const char*> rows[] = {
      {"", "is empty"},
      {"\n", "is empty"},
      {std::string("hunter2\0x", 9), "contains a NUL byte"},
      {std::string((64U << 10) + 1, 'x'), "is larger than 64 KiB"}};
  for (const auto& [text, wrong] : rows) {
    const ConfigResult result = load_with_password_file(text);
    ASSERT_EQ(result.errors.size(), 1U);
    EXPECT_THAT(result.errors[0].message, HasSubstr(wrong));
    EXPECT_EQ(result.errors[0].line, 1U);
    EXPECT_THAT(format_errors(result.errors), Not(HasSubstr("hunter2")));
  }
}

// Of a text and a file for one property the later one counts, and only its file is read.
TEST(ConfigPropertyFiles, AreOverridden) {
  const char* file = "log: {kafka: {properties: {sasl.password: {file: /nonexistent/x}}}}\n";
  const char* text = "log: {kafka: {properties: {sasl.password: hunter2}}}\n";
  EXPECT_EQ(good({{"a.yaml", kLeast}, {"b.yaml", file}, {"c.yaml", text}})
                .log.kafka.properties.at("sasl.password"),
            (TextOrFile{"hunter2", ""}));
  EXPECT_EQ(good({{"a.yaml", kLeast}, {"b.yaml", file}},
                 {{"PURGELINE__LOG__KAFKA__PROPERTIES__SASL_PASSWORD", "v"}})
                .log.kafka.properties.at("sasl.password"),
            (TextOrFile{"v", ""}));
  EXPECT_EQ(load({{"a.yaml", kLeast}, {"b.yaml", text}, {"c.yaml", file}}).errors.size(), 1U);
}

// The key that `off` means; what else the section says counts as before.
TEST(ConfigOff, IsShortForASectionsFirstKey) {
  const std::string off = "purge: {fence: off}\n";
  const std::string no = "purge: {fence: {fetch_time: no, hit_time: 3s}}\n";
  EXPECT_EQ(good({{"a.yaml", kLeast}}).purge.fence.fetch_time, std::chrono::seconds(10));
  EXPECT_EQ(good({{"a.yaml", kLeast}, {"b.yaml", off}}).purge.fence.fetch_time, std::nullopt);
  const Config both = good({{"a.yaml", kLeast}, {"b.yaml", no}, {"c.yaml", off}});
  EXPECT_EQ(both.purge.fence.fetch_time, std::nullopt);
  EXPECT_EQ(both.purge.fence.hit_time, std::chrono::seconds(3));
  EXPECT_EQ(good({{"a.yaml", kLeast}}, {{"PURGELINE__PURGE__FENCE", "off"}}).purge.fence.fetch_time,
            std::nullopt);
  EXPECT_EQ(load({{"a.yaml", kLeast}}, {{"PURGELINE__PURGE__FENCE", "on"}}).errors.size(), 1U);
}

TEST(ConfigErrors, AsJson) {
  const ConfigResult result = load({{"a.yaml", std::string(kLeast) + "io: \"\\e\"\n"}});
  EXPECT_EQ(
      format_errors(result.errors, ErrorFormat::json),
      "{\"errors\": [\n  {\"file\": \"a.yaml\", \"line\": 8, \"column\": 5, \"path\": \"io\", "
      "\"message\": \"is not known\", \"found\": \"\\\\x1b\", \"allowed\": \"auto, uring, epoll\", "
      "\"suggestion\": \"\"}\n]}\n");
  EXPECT_EQ(format_errors({}, ErrorFormat::json), "{\"errors\": []}\n");
}

TEST(ConfigDocs, AreInTheTree) {
  const std::filesystem::path path = PURGELINE_TEST_FOLDER "/../../docs/configuration.md";
  if (std::getenv("PURGELINE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << config_docs();
  std::ifstream stream(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), config_docs())
      << "run: purgeline config docs >docs/configuration.md";
}

TEST(ConfigDocs, ExampleLoads) {
  good({{"example.yaml", config_example()}});
}

}  // namespace
}  // namespace purgeline
