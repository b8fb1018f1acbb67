#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "control/config_bind.h"
#include "control/config_check.h"
#include "control/config_intakes.h"
#include "control/config_text.h"
#include "control/config_value.h"
#include "purgeline/host_pattern.h"
#include "purgeline/peers.h"
#include "purgeline/types.h"

namespace purgeline::config {
namespace {

constexpr std::size_t kMaxStateDir = 1024;  // leaves room for the files in it below PATH_MAX

// The node at a path such as purge.layers[0].targets[1], or the nearest one above it.
Mark mark_at(const Node& root, std::string_view path) {
  const Node* at = &root;
  Mark mark = root.mark;
  while (!path.empty()) {
    const std::size_t end = path.find_first_of(".[]", 1);
    std::string_view step = path.substr(0, end);
    path.remove_prefix(step.size());
    while (!path.empty() && (path[0] == ']' || path[0] == '.')) path.remove_prefix(1);
    if (step[0] == '[') {
      const std::size_t index = std::stoul(std::string(step.substr(1)));
      if (index >= at->items.size()) return mark;
      at = &at->items[index];
    } else {
      at = at->find(step);
      if (at == nullptr) return mark;
    }
    mark = at->mark;
  }
  return mark;
}

class Relations {
 public:
  Relations(const Config& config, const Node& root, Problems& problems)
      : config_(config), root_(root), problems_(problems) {}

  void check() {
    check_state_dir();
    check_brokers();
    check_topics("log.kafka.topics", config_.log.kafka.topics);
    check_topics("log.journal.topics", config_.log.journal.topics);
    check_hosts("purge.hosts.allow", config_.purge.hosts.allow);
    check_hosts("purge.hosts.deny", config_.purge.hosts.deny);
    check_layers();
    check_intakes(config_.intake, [this](const std::string& path, Complaint complaint) {
      report(path, std::move(complaint));
    });
    check_read();
    check_peers();
    check_rebound();
    check_fetch_time();
  }

 private:
  // What comes as a purge has to be purged here as well: this daemon reads log.kafka.topics.
  void check_read() {
    if (config_.log.kafka.brokers.empty()) return;
    const auto read = [this](const std::vector<Endpoint>& addresses, const std::string& topic,
                             const char* path) {
      const auto& topics = config_.log.kafka.topics;
      if (addresses.empty() || topic.empty()) return;
      if (std::find(topics.begin(), topics.end(), topic) != topics.end()) return;
      report(path, {"is a topic that is not read here", topic, "one of log.kafka.topics", ""});
    };
    const IntakeConfig& intake = config_.intake;
    read(intake.http.listen, intake.http.purge_topic, "intake.http.purge_topic");
    read(intake.htcp.listen, intake.htcp.topic, "intake.htcp.topic");
    if (intake.htcp.listen.empty()) {
      read(intake.htcp.groups, intake.htcp.topic, "intake.htcp.topic");
    }
  }

  // Only what the audit sees raises it.
  void check_fetch_time() {
    const FenceConfig& fence = config_.purge.fence;
    const std::string path = "purge.fence.fetch_time_max";
    if (!fence.fetch_time_max) return;
    const std::string found = duration_text(*fence.fetch_time_max);
    if (!fence.fetch_time) {
      report(path, {"raises a fetch_time that is off", found, "off, or a fetch_time", ""});
    } else if (*fence.fetch_time_max < *fence.fetch_time) {
      report(path, {"is shorter than purge.fence.fetch_time", found,
                    "at least " + duration_text(*fence.fetch_time), ""});
    }
    if (!config_.purge.audit.sample) {
      report(path, {"needs purge.audit, which is off", found, "off, or purge.audit.sample", ""});
    }
    if (!config_.purge.peers.topic.empty()) {
      report(path, {"would be another on each host, and purge.peers wait for each other's fences",
                    found, "off, or no purge.peers", ""});
    }
  }

  void check_rebound() {
    const std::vector<Duration>& delays = config_.purge.rebound;
    for (std::size_t i = 1; i < delays.size(); ++i) {
      if (delays[i] == Duration{0} || delays[i] > delays[i - 1]) continue;
      report(index_path("purge.rebound", i), {"is not longer than the one before",
                                              duration_text(delays[i]), "durations that rise", ""});
    }
    check_rebound_with_peers();
  }

  // A step of the commit grows with the latest rebound, and peers are told of fences by steps.
  void check_rebound_with_peers() {
    const FenceConfig& fence = config_.purge.fence;
    if (config_.purge.peers.topic.empty() || !fence.fetch_time) return;
    const Duration latest = fence.origin_lag + *fence.fetch_time;
    const std::vector<Duration>& delays = config_.purge.rebound;
    for (std::size_t i = 0; i < delays.size(); ++i) {
      if (delays[i] <= latest) continue;
      report(index_path("purge.rebound", i),
             {"is later than the fence, for which purge.peers wait", duration_text(delays[i]),
              "at most " + duration_text(latest) + " (origin_lag + fetch_time)", ""});
    }
  }

  // Offsets are what peers tell each other, so all of them read the same log.
  void check_peers() {
    const PeersConfig& peers = config_.purge.peers;
    const std::string at = "purge.peers.topic";
    Seen seen;
    for (std::size_t i = 0; i < peers.hosts.size(); ++i) {
      const std::string path = index_path("purge.peers.hosts", i);
      check_peer_name(path, peers.hosts[i]);
      once(seen, peers.hosts[i], path);
    }
    check_peer_name("purge.peers.name", peers.name);
    if (peers.topic.empty()) {
      if (!peers.hosts.empty()) report(at, {"is missing, purge.peers.hosts needs it", "", "", ""});
      return;
    }
    if (!is_topic(peers.topic)) {
      report(at, {"is not a topic's name", peers.topic, kTopicRule, ""});
    }
    if (config_.log.kafka.brokers.empty()) {
      report(at, {"needs a log that all peers read", "log.journal", "log.kafka", ""});
    }
    const auto& topics = config_.log.kafka.topics;
    if (std::find(topics.begin(), topics.end(), peers.topic) != topics.end()) {
      report(at, {"is one of log.kafka.topics", peers.topic, "a topic of its own", ""});
    }
  }

  void check_peer_name(const std::string& path, const std::string& name) {
    const bool plain =
        std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!plain || name.size() > kMaxPeerName) {
      report(path, {"is not a host's name", name,
                    "at most " + std::to_string(kMaxPeerName) + " letters, digits and signs", ""});
    }
  }

  void check_state_dir() {
    const std::string& folder = config_.state_dir;
    if (folder.empty() || folder[0] != '/') {
      report("state_dir", {"is not an absolute path", folder, "a path that begins with /", ""});
    } else if (folder.size() > kMaxStateDir) {
      report("state_dir",
             {"is too long", folder, "at most " + std::to_string(kMaxStateDir) + " bytes", ""});
    }
  }

  void check_brokers() {
    Seen seen;
    const auto& brokers = config_.log.kafka.brokers;
    for (std::size_t i = 0; i < brokers.size(); ++i) {
      const std::string path = index_path("log.kafka.brokers", i);
      if (!brokers[i].unix_path.empty()) {
        report(path,
               {"is a Unix socket, Kafka has none", brokers[i].text, "host:port or [v6]:port", ""});
      }
      once(seen, brokers[i].text, path);
    }
  }

  void check_topics(const std::string& list, const std::vector<std::string>& topics) {
    Seen seen;
    for (std::size_t i = 0; i < topics.size(); ++i) {
      const std::string path = index_path(list, i);
      if (!is_topic(topics[i])) {
        report(path, {"is not a topic's name", topics[i], kTopicRule, ""});
      }
      once(seen, topics[i], path);
    }
  }

  // The router reads the lists again when it starts; here every mistake is told with its place.
  void check_hosts(const std::string& list, const std::vector<std::string>& hosts) {
    RE2::Options options;
    options.set_max_mem(kHostExpressionMemory);
    options.set_log_errors(false);
    options.set_case_sensitive(false);
    RE2::Set expressions(options, RE2::ANCHOR_BOTH);
    bool compile = false;
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      const auto parsed = parse_host_pattern(hosts[i]);
      std::string wrong;
      if (!parsed) {
        wrong = parsed.error().detail;
      } else if (parsed->kind == HostPatternKind::expression) {
        compile = true;
        std::string words;
        if (expressions.Add(parsed->text, &words) < 0) {
          wrong = refused_expression(parsed->text, words);
        }
      }
      if (wrong.empty()) continue;
      report(index_path(list, i),
             {wrong, hosts[i], "www.example.org, *.example.org or /expression/",
              host_meant(hosts[i])});
    }
    if (compile && !expressions.Compile()) {
      report(list, {"has expressions that need too much memory together", "",
                    "8 MiB once they are compiled", ""});
    }
  }

  // The host of a URL, or of a host with a port; empty when there is none.
  static std::string host_meant(std::string_view written) {
    if (const std::size_t scheme = written.find("://"); scheme != std::string_view::npos) {
      written.remove_prefix(scheme + 3);
    }
    written = written.substr(0, written.find('/'));
    if (const std::size_t colon = written.rfind(':');
        colon != std::string_view::npos && written.back() != ']') {
      written = written.substr(0, colon);
    }
    return parse_host_pattern(written) ? std::string(written) : "";
  }

  void check_layers() {
    Seen names;
    Seen targets;
    std::size_t count = 0;
    const auto& layers = config_.purge.layers;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string path = index_path("purge.layers", i);
      once(names, layers[i].name, join_path(path, "name"));
      for (std::size_t j = 0; j < layers[i].targets.size(); ++j) {
        const std::string target = index_path(join_path(path, "targets"), j);
        once(targets, layers[i].targets[j].text, target);
        if (++count == kMaxTargets + 1) {
          report(target, {"is one target too many", layers[i].targets[j].text,
                          std::to_string(kMaxTargets) + " targets in all layers together", ""});
        }
      }
      check_in_flight(layers[i], path);
    }
  }

  void check_in_flight(const LayerConfig& layer, const std::string& path) {
    const std::uint64_t in_flight = layer.connections * layer.depth;
    if (in_flight <= config_.purge.coalesce.capacity) return;
    report(join_path(path, "depth"),
           {"times connections is more than purge.coalesce.capacity", std::to_string(in_flight),
            "at most " + std::to_string(config_.purge.coalesce.capacity), ""});
  }

  using Seen = std::map<std::string, std::string>;

  // Values the check refused are bound as empty ones and are not compared.
  void once(Seen& seen, const std::string& value, const std::string& path) {
    if (value.empty()) return;
    const auto [known, fresh] = seen.emplace(value, path);
    if (!fresh) report(path, {"is the same as " + known->second, value, "each one once", ""});
  }

  void report(const std::string& path, Complaint complaint) {
    problems_.add(mark_at(root_, path), path, std::move(complaint));
  }

  const Config& config_;
  const Node& root_;
  Problems& problems_;
};

}  // namespace

void check_relations(const Config& config, const Node& root, Problems& problems) {
  Relations(config, root, problems).check();
}

}  // namespace purgeline::config
