#include "control/config_intakes.h"

#include <map>
#include <string_view>

#include "control/config_check.h"
#include "purgeline/ip.h"

namespace purgeline::config {
namespace {

constexpr std::size_t kMaxTopic = 249;  // Kafka's own limit
constexpr std::string_view kTopicLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

// A name other than localhost may resolve to anything, now or later.
bool stays_on_this_host(const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty() || endpoint.host == "localhost") return true;
  const auto ip = parse_ip(endpoint.host);
  return ip && is_loopback(*ip);
}

class Intakes {
 public:
  Intakes(const IntakeConfig& intake, const Report& report) : intake_(intake), report_(report) {}

  void check() {
    check_http();
    check_udp(intake_.htcp.listen, "intake.htcp.listen", false);
    check_topic("intake.htcp.topic", intake_.htcp.topic);
    check_udp(intake_.htcp.groups, "intake.htcp.groups", true);
    check_sources();
  }

 private:
  void check_http() {
    const HttpIntakeConfig& http = intake_.http;
    const std::string listen = "intake.http.listen";
    for (std::size_t i = 0; i < http.listen.size(); ++i) {
      once(http.listen[i].text, index_path(listen, i));
      if (http.token_file.empty() && !stays_on_this_host(http.listen[i])) {
        report_(index_path(listen, i),
                {"lets other hosts purge without a token", http.listen[i].text,
                 "loopback, a Unix socket, or intake.http.token_file", ""});
      }
    }
    if (!http.token_file.empty() && http.token_file[0] != '/') {
      report_("intake.http.token_file",
              {"is not an absolute path", http.token_file, "a path that begins with /", ""});
    }
    const std::string& prefix = http.topic_prefix;
    if (!prefix.empty() && prefix.find_first_not_of(kTopicLetters) != std::string::npos) {
      report_("intake.http.topic_prefix",
              {"is not the beginning of a topic's name", prefix, kTopicRule, ""});
    }
    check_topic("intake.http.purge_topic", http.purge_topic);
    for (std::size_t i = 0; i < http.streams.size(); ++i) {
      check_topic(index_path("intake.http.streams", i), http.streams[i]);
    }
  }

  // Addresses of UDP sockets: our own, or groups to join.
  void check_udp(const std::vector<Endpoint>& list, const std::string& name, bool groups) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Endpoint& endpoint = list[i];
      const std::string path = index_path(name, i);
      once(endpoint.text, path);
      const auto ip = numeric(endpoint, path);
      if (!ip) continue;
      if (is_multicast(*ip) && !groups) {
        report_(path, {"is a multicast group", endpoint.text, "groups in intake.htcp.groups", ""});
      } else if (!is_multicast(*ip) && groups) {
        report_(path, {"is not a multicast group", endpoint.text,
                       "224.0.0.0 to 239.255.255.255, or ff00::/8", ""});
      } else if (is_group_of_interface(*ip) && intake_.htcp.interface.empty()) {
        report_(path, {"is a group of one interface, which is not named", endpoint.text,
                       "a group of a wider scope, or intake.htcp.interface", ""});
      } else if (!is_loopback(*ip) && intake_.htcp.allow_sources.empty()) {
        report_(path, {"lets everybody purge who can send to it", endpoint.text,
                       groups ? "a group with intake.htcp.allow_sources"
                              : "loopback, or intake.htcp.allow_sources",
                       ""});
      }
    }
  }

  void check_sources() {
    const auto& sources = intake_.htcp.allow_sources;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const std::string path = index_path("intake.htcp.allow_sources", i);
      once(sources[i], path);
      if (parse_network(sources[i])) continue;
      report_(path,
              {"is not an address or a network", sources[i],
               "192.0.2.1, 192.0.2.0/24 or 2001:db8::/32, with no bits behind the prefix", ""});
    }
  }

  // UDP sockets are bound to numbers: a name would have to be resolved, perhaps to several.
  std::optional<IpAddress> numeric(const Endpoint& endpoint, const std::string& path) {
    if (endpoint.text.empty()) return std::nullopt;  // refused already
    const auto ip = parse_ip(endpoint.host);
    if (!ip) {
      report_(path, {"is not a numeric address", endpoint.text,
                     "127.0.0.1:4827 or [::1]:4827, no name and no Unix socket", ""});
    }
    return ip;
  }

  void check_topic(const std::string& path, const std::string& name) {
    if (!name.empty() && !is_topic(name)) {
      report_(path, {"is not a topic's name", name, kTopicRule, ""});
    }
  }

  // An address may take HTTP and HTCP, which are TCP and UDP; within one list it stands once.
  void once(const std::string& value, const std::string& path) {
    if (value.empty()) return;
    const std::string list = path.substr(0, path.find('['));
    const auto [known, fresh] = seen_.emplace(list + " " + value, path);
    if (!fresh) report_(path, {"is the same as " + known->second, value, "each one once", ""});
  }

  const IntakeConfig& intake_;
  const Report& report_;
  std::map<std::string, std::string> seen_;
};

}  // namespace

bool is_topic(const std::string& name) {
  return name.find_first_not_of(kTopicLetters) == std::string::npos && name.size() <= kMaxTopic &&
         name != "." && name != "..";
}

void check_intakes(const IntakeConfig& intake, const Report& report) {
  Intakes(intake, report).check();
}

}  // namespace purgeline::config
