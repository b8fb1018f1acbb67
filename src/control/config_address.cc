// host:port, [v6]:port and unix:/path, by syntax alone: names are resolved when a connection is
// made.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "control/config_text.h"
#include "control/config_value.h"
#include "purgeline/ip.h"

namespace purgeline::config {
namespace {

constexpr std::size_t kMaxHost = 253;  // RFC 1035 without the final dot
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::string_view kUnix = "unix:";
constexpr const char* kForms = "host:port, [v6]:port or unix:/path";

tl::unexpected<Complaint> complain(std::string message, std::string suggestion = {}) {
  return tl::unexpected<Complaint>(
      Complaint{std::move(message), "", kForms, std::move(suggestion)});
}

bool is_host_name(std::string_view host) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  return !host.empty() && host.size() <= kMaxHost && host.front() != '-' && host.front() != '.' &&
         host.find("..") == std::string_view::npos &&
         std::all_of(host.begin(), host.end(), allowed);
}

bool is_all_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

// The shortest spelling of a v6 literal; empty when it is none.
std::string shortest_v6(const std::string& literal) {
  in6_addr address{};
  if (inet_pton(AF_INET6, literal.c_str(), &address) != 1) return {};
  char out[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, &address, out, sizeof out) == nullptr ? "" : out;
}

// 0 when it is not a port.
std::uint16_t parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !is_all_of(text, "0123456789")) return 0;
  unsigned port = 0;
  for (const char digit : text) port = port * 10 + static_cast<unsigned>(digit - '0');
  return port > 65535 ? std::uint16_t{0} : static_cast<std::uint16_t>(port);
}

tl::expected<Endpoint, Complaint> parse_unix(std::string_view written) {
  const std::string_view path = written.substr(kUnix.size());
  const bool control = std::any_of(path.begin(), path.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F;
  });
  if (path.empty() || path[0] != '/' || path.size() == 1) {
    return complain("needs an absolute path",
                    path.empty() || path[0] == '/' ? "" : "unix:/" + std::string(path));
  }
  if (control || !is_utf8(path)) return complain("has a path with spaces or controls");
  if (path.size() > kMaxUnixPath) {
    return complain("has a path of more than " + std::to_string(kMaxUnixPath) + " bytes");
  }
  Endpoint endpoint;
  endpoint.text = written;
  endpoint.unix_path = path;
  return endpoint;
}

// Mistakes whose meaning is plain enough to say what was meant.
tl::expected<Endpoint, Complaint> explain(std::string_view written) {
  if (const std::size_t scheme = written.find("://"); scheme != std::string_view::npos) {
    const std::string_view rest = written.substr(scheme + 3);
    return complain("has a scheme in front", std::string(rest.substr(0, rest.find('/'))));
  }
  const std::size_t last = written.rfind(':');
  if (!written.empty() && written[0] == '/')
    return complain("needs unix: in front", "unix:" + std::string(written));
  if (last == std::string_view::npos) return complain("has no port");
  // ::1:80 can be read both ways, but nobody means an address without a port here.
  const std::string host(written.substr(0, last));
  if (!shortest_v6(host).empty()) {
    return complain("has an IPv6 address without brackets",
                    "[" + host + "]" + std::string(written.substr(last)));
  }
  if (!shortest_v6(std::string(written)).empty()) {
    return complain("is an IPv6 address without a port");
  }
  return complain("is not an address");
}

}  // namespace

tl::expected<Endpoint, Complaint> parse_endpoint(std::string_view written) {
  if (written.substr(0, kUnix.size()) == kUnix) return parse_unix(written);
  Endpoint endpoint;
  std::string_view port;
  const bool bracketed = !written.empty() && written[0] == '[';
  if (bracketed) {
    const std::size_t end = written.find("]:");
    if (end == std::string_view::npos) return complain("has no port behind the bracket");
    endpoint.host = shortest_v6(std::string(written.substr(1, end - 1)));
    if (endpoint.host.empty()) return complain("has no IPv6 address in the brackets");
    port = written.substr(end + 2);
  } else {
    const std::size_t colon = written.find(':');
    if (colon == std::string_view::npos || colon != written.rfind(':') ||
        written.find('/') != std::string_view::npos) {
      return explain(written);
    }
    endpoint.host = lower(written.substr(0, colon));
    port = written.substr(colon + 1);
    if (!is_host_name(endpoint.host)) return complain("has no valid host name");
    // A name of digits and dots only can be nothing but a v4 address.
    if (is_all_of(endpoint.host, "0123456789.") && !parse_ip(endpoint.host)) {
      return complain("has no valid IPv4 address");
    }
  }
  endpoint.port = parse_port(port);
  if (endpoint.port == 0) return complain("has no port from 1 to 65535");
  endpoint.text =
      (bracketed ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
  return endpoint;
}

}  // namespace purgeline::config
