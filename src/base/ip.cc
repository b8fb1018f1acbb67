#include "purgeline/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace purgeline {
namespace {

constexpr std::array<std::uint8_t, 12> kIpv4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.empty() || text.size() >= copy.size()) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), copy.begin());
  IpAddress address{};
  if (inet_pton(AF_INET6, copy.data(), address.data()) == 1) return address;
  std::copy(kIpv4Prefix.begin(), kIpv4Prefix.end(), address.begin());
  if (inet_pton(AF_INET, copy.data(), address.data() + kIpv4Prefix.size()) == 1) return address;
  return std::nullopt;
}

std::string ip_text(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool four = is_ipv4(address);
  inet_ntop(four ? AF_INET : AF_INET6, address.data() + (four ? kIpv4Prefix.size() : 0),
            text.data(), text.size());
  return text.data();
}

bool is_ipv4(const IpAddress& address) {
  return std::equal(kIpv4Prefix.begin(), kIpv4Prefix.end(), address.begin());
}

bool is_loopback(const IpAddress& address) {
  if (is_ipv4(address)) return address[12] == 127;
  IpAddress loopback{};
  loopback[15] = 1;
  return address == loopback;
}

bool is_multicast(const IpAddress& address) {
  return is_ipv4(address) ? (address[12] & 0xF0) == 0xE0 : address[0] == 0xFF;
}

bool is_group_of_interface(const IpAddress& address) {
  const unsigned scope = address[1] & 0x0FU;
  return address[0] == 0xFF && (scope == 1 || scope == 2);
}

bool IpNetwork::contains(const IpAddress& address) const {
  for (unsigned bit = 0; bit < bits; bit += 8) {
    const unsigned used = std::min(8U, bits - bit);
    const unsigned mask = 0xFFU & (0xFFU << (8 - used));
    if (((base[bit / 8] ^ address[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

std::optional<IpNetwork> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::nullopt;
  IpNetwork network{*address, 128};
  if (slash == std::string_view::npos) return network;
  const std::string_view digits = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [stop, error] = std::from_chars(digits.begin(), digits.end(), bits);
  const bool four = text.find(':') == std::string_view::npos;
  if (error != std::errc{} || stop != digits.end() || bits > (four ? 32U : 128U)) {
    return std::nullopt;
  }
  network.bits = four ? 96 + bits : bits;
  for (unsigned bit = network.bits; bit < 128; ++bit) {
    if ((network.base[bit / 8] >> (7 - bit % 8) & 1U) != 0) return std::nullopt;
  }
  return network;
}

}  // namespace purgeline
