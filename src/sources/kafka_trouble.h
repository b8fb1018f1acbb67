// KafkaTrouble: which brokers fail and why, as one sentence.
//
// librdkafka tells of each failed connection of each of its clients twice, as an error and as a log
// line, and again with every new try. A person needs one line with all of it when the log cannot be
// reached, and nothing when it can.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace purgeline {

// Place: inside the Kafka source. Thread: the shard's. Bound: kMost brokers, the latest reason of
// each.
class KafkaTrouble {
 public:
  static constexpr std::size_t kMost = 8;

  // `words` as librdkafka tells them: "host:9092/1001: Connect to ... failed: ... (after 0ms ...)".
  void add(const std::string& words);
  void clear();
  [[nodiscard]] bool empty() const { return failed_.empty(); }
  // "a:9092: Connect to ... failed: Connection refused; b:9092: ...", or, when no broker was heard
  // to fail, `otherwise` and the brokers that were asked.
  [[nodiscard]] std::string words(const std::string& otherwise,
                                  const std::vector<std::string>& brokers) const;

 private:
  std::vector<std::pair<std::string, std::string>> failed_;  // broker, reason
  std::size_t more_{0};                                      // failures of further brokers
};

// The level at which a line of the library is logged: 7 (debug) for what KafkaTrouble folds.
[[nodiscard]] int kafka_line_level(int level, std::string_view facility, std::string_view line);

}  // namespace purgeline
