#include "sources/kafka_trouble.h"

#include <algorithm>

namespace purgeline {
namespace {

constexpr int kDebug = 7;

// The words without how long the connection had lasted: that differs each time and tells nothing.
std::string_view lasting_part(std::string_view words) {
  const std::size_t at = words.rfind(" (after ");
  return at == std::string_view::npos ? words : words.substr(0, at);
}

// The address without the node's number, which not every line has.
std::string_view address_part(std::string_view broker) {
  const std::size_t slash = broker.rfind('/');
  const bool scheme = slash != std::string_view::npos && slash > 0 && broker[slash - 1] == '/';
  return slash == std::string_view::npos || scheme ? broker : broker.substr(0, slash);
}

}  // namespace

void KafkaTrouble::add(const std::string& words) {
  const std::string_view lasting = lasting_part(words);
  const std::size_t colon = lasting.find(": ");
  std::string broker;
  std::string reason(lasting);
  if (colon != std::string_view::npos) {
    broker = address_part(lasting.substr(0, colon));
    reason = lasting.substr(colon + 2);
  }
  const auto known = std::find_if(failed_.begin(), failed_.end(),
                                  [&](const auto& one) { return one.first == broker; });
  if (known != failed_.end()) {
    known->second = std::move(reason);
  } else if (failed_.size() < kMost) {
    failed_.emplace_back(std::move(broker), std::move(reason));
  } else {
    ++more_;
  }
}

void KafkaTrouble::clear() {
  failed_.clear();
  more_ = 0;
}

std::string KafkaTrouble::words(const std::string& otherwise,
                                const std::vector<std::string>& brokers) const {
  std::string all;
  for (const auto& [broker, reason] : failed_) {
    all += all.empty() ? "" : "; ";
    all += broker.empty() ? reason : broker + ": " + reason;
  }
  if (more_ > 0) all += "; and more";
  if (!all.empty()) return all;
  for (const std::string& broker : brokers) all += (all.empty() ? "" : ", ") + broker;
  return otherwise + "; asked: " + all;
}

int kafka_line_level(int level, std::string_view facility, std::string_view line) {
  // A connection failed; requests got no answer; "2/2 brokers are down".
  const bool folded = facility == "FAIL" || facility == "REQTMOUT" ||
                      (facility == "ERROR" && line.ends_with("brokers are down"));
  return folded ? kDebug : level;
}

}  // namespace purgeline
