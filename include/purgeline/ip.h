// IpAddress and IpNetwork: numeric addresses, both versions in one form, and ranges of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace purgeline {

// Sixteen bytes in network order; IPv4 as ::ffff:a.b.c.d.
using IpAddress = std::array<std::uint8_t, 16>;

// "192.0.2.1", "2001:db8::1"; nothing else: no names, no zones, and no short or octal forms, which
// mean different things to different programs.
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view text);
[[nodiscard]] std::string ip_text(const IpAddress& address);
[[nodiscard]] bool is_ipv4(const IpAddress& address);
[[nodiscard]] bool is_loopback(const IpAddress& address);
[[nodiscard]] bool is_multicast(const IpAddress& address);
// A group that means something on one interface only: ff01::/16, ff02::/16.
[[nodiscard]] bool is_group_of_interface(const IpAddress& address);

struct IpNetwork {
  IpAddress base{};
  unsigned bits{128};  // of the sixteen bytes
  [[nodiscard]] bool contains(const IpAddress& address) const;
};

// An address, or "192.0.2.0/24", "2001:db8::/32". The bits behind the prefix have to be zero: with
// others it is anybody's guess what was meant.
[[nodiscard]] std::optional<IpNetwork> parse_network(std::string_view text);

}  // namespace purgeline
