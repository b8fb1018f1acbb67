#include "dispatch/address.h"

#include <algorithm>

#include "purgeline/check.h"
#include "purgeline/ip.h"

namespace purgeline {

std::optional<Address> literal_address(std::string_view host, std::uint16_t port) {
  CHECK(host.size() <= 255);  // longer than any name, let alone an address
  const std::optional<IpAddress> ip = parse_ip(host);
  if (!ip) return std::nullopt;
  Address address;
  address.port = port;
  if (host.find(':') == std::string_view::npos) {
    address.family = Address::Family::inet4;
    std::copy(ip->end() - 4, ip->end(), address.ip.begin());
  } else {
    address.family = Address::Family::inet6;
    address.ip = *ip;
  }
  return address;
}

std::optional<Address> fixed_address(const Endpoint& endpoint) {
  CHECK(endpoint.host.empty() != endpoint.unix_path.empty());
  if (endpoint.unix_path.empty()) return literal_address(endpoint.host, endpoint.port);
  Address address;
  address.family = Address::Family::local;
  address.path = endpoint.unix_path;
  return address;
}

}  // namespace purgeline
