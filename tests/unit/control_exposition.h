// A small reader of Prometheus' text format that finds what a scraper would refuse.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace purgeline::test {

struct Exposition {
  struct Family {
    std::string type;
    std::string help;
    std::map<std::string, double> samples;  // by name and labels, as written
  };
  std::map<std::string, Family> families;
  std::vector<std::string> order;
  std::vector<std::string> errors;

  [[nodiscard]] double value(const std::string& family, const std::string& series) const {
    const auto found = families.find(family);
    if (found == families.end()) return NAN;
    const auto sample = found->second.samples.find(series);
    return sample == found->second.samples.end() ? NAN : sample->second;
  }
};

// Buckets must not fall, must end in +Inf, and that must equal _count.
inline void check_histograms(Exposition& out) {
  static const std::regex bucket(R"re((.*)_bucket\{(.*?),?le="([^"]*)"\})re");
  for (const auto& [name, family] : out.families) {
    if (family.type != "histogram") continue;
    std::map<std::string, std::map<double, double>> buckets;
    for (const auto& [series, value] : family.samples) {
      std::smatch match;
      if (!std::regex_match(series, match, bucket)) continue;
      const double edge =
          match[3] == "+Inf" ? INFINITY : std::strtod(match[3].str().c_str(), nullptr);
      buckets[match[2]][edge] = value;
    }
    for (const auto& [labels, edges] : buckets) {
      double last = 0;
      for (const auto& [edge, value] : edges) {
        if (value < last) out.errors.push_back(name + ": buckets fall");
        last = value;
      }
      const std::string count = name + "_count" + (labels.empty() ? "" : "{" + labels + "}");
      if (!edges.contains(INFINITY) || out.value(name, count) != last) {
        out.errors.push_back(name + ": +Inf and _count differ");
      }
      if (std::isnan(out.value(name, name + "_sum" + (labels.empty() ? "" : "{" + labels + "}")))) {
        out.errors.push_back(name + ": no _sum");
      }
    }
  }
}

inline std::string family_of(const Exposition& out, const std::string& sample) {
  if (out.families.contains(sample)) return sample;
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    const std::string end(suffix);
    if (sample.size() <= end.size() || !sample.ends_with(end)) continue;
    const std::string base = sample.substr(0, sample.size() - end.size());
    const auto found = out.families.find(base);
    if (found != out.families.end() && found->second.type == "histogram") return base;
  }
  return {};
}

inline Exposition parse_exposition(const std::string& text) {
  static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*))");
  static const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
  static const std::regex sample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*))re"
      R"re((\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\[\\n"])*",?)+\})? (\S+))re");
  Exposition out;
  std::istringstream lines(text);
  std::string line;
  if (!text.empty() && text.back() != '\n') out.errors.push_back("no line end at the end");
  while (std::getline(lines, line)) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      if (out.families.contains(match[1])) out.errors.push_back("twice: " + match[1].str());
      out.families[match[1]].help = match[2];
      out.order.push_back(match[1]);
    } else if (std::regex_match(line, match, type)) {
      if (out.order.empty() || out.order.back() != match[1]) {
        out.errors.push_back("TYPE without HELP: " + line);
      }
      out.families[match[1]].type = match[2];
    } else if (std::regex_match(line, match, sample)) {
      const std::string family = family_of(out, match[1]);
      if (family.empty() || family != out.order.back()) {
        out.errors.push_back("outside its family: " + line);
        continue;
      }
      char* end = nullptr;
      const std::string number = match[3];
      const double value = std::strtod(number.c_str(), &end);
      if (*end != '\0') out.errors.push_back("no number: " + line);
      if (!out.families[family].samples.emplace(match[1].str() + match[2].str(), value).second) {
        out.errors.push_back("series twice: " + line);
      }
    } else {
      out.errors.push_back("not the format: " + line);
    }
  }
  check_histograms(out);
  return out;
}

}  // namespace purgeline::test
