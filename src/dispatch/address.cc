#include "dispatch/address.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "purgeline/check.h"

namespace purgeline {
namespace {

using Bytes4 = std::array<std::uint8_t, 4>;

// The number that `text` is, in full and without a sign.
std::optional<unsigned> number(std::string_view text, int base, std::size_t digits,
                               unsigned limit) {
  if (text.empty() || text.size() > digits) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || value > limit)
    return std::nullopt;
  return value;
}

// Four decimal numbers. Short forms ("127.1") and octal are refused: they mean different things to
// different programs, and whoever writes them meets a name service that says so.
std::optional<Bytes4> parse_v4(std::string_view text) {
  Bytes4 bytes{};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view part = text.substr(0, dot);
    if (part.size() > 1 && part.front() == '0')
      return std::nullopt;  // octal to some, decimal to others
    const auto value = number(part, 10, 3, 255);
    if (!value) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*value);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return bytes;
}

// The groups of one side of "::", which may end in a dotted quad. Appends to `out`, false when
// malformed.
bool parse_groups(std::string_view text, std::array<std::uint8_t, 16>& out, std::size_t& size) {
  CHECK(size <= out.size());
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (colon == std::string_view::npos && part.find('.') != std::string_view::npos) {
      const auto quad = parse_v4(part);
      if (!quad || size + 4 > out.size()) return false;
      std::copy(quad->begin(), quad->end(), out.begin() + static_cast<std::ptrdiff_t>(size));
      size += 4;
      return true;
    }
    const auto group = number(part, 16, 4, 0xffff);
    if (!group || size + 2 > out.size()) return false;
    out[size++] = static_cast<std::uint8_t>(*group >> 8);
    out[size++] = static_cast<std::uint8_t>(*group & 0xff);
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // a single colon at the end
  }
  return true;
}

// Zones ("fe80::1%eth0") are refused: an Address has no place for them.
std::optional<std::array<std::uint8_t, 16>> parse_v6(std::string_view text) {
  std::array<std::uint8_t, 16> head{};
  std::size_t head_size = 0;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, head, head_size) || head_size != head.size()) return std::nullopt;
    return head;
  }
  std::array<std::uint8_t, 16> tail{};
  std::size_t tail_size = 0;
  const std::string_view before = text.substr(0, gap);
  if (before.find('.') != std::string_view::npos) return std::nullopt;  // a quad comes last only
  if (!parse_groups(before, head, head_size) ||
      !parse_groups(text.substr(gap + 2), tail, tail_size)) {
    return std::nullopt;
  }
  if (head_size + tail_size > head.size() - 2) return std::nullopt;  // "::" is at least one group
  CHECK(head_size % 2 == 0 && tail_size % 2 == 0);
  std::copy_n(tail.begin(), tail_size, head.end() - static_cast<std::ptrdiff_t>(tail_size));
  return head;
}

}  // namespace

std::optional<Address> literal_address(std::string_view host, std::uint16_t port) {
  CHECK(host.size() <= 255);  // longer than any name, let alone an address
  Address address;
  address.port = port;
  if (const auto v4 = parse_v4(host)) {
    address.family = Address::Family::inet4;
    std::copy(v4->begin(), v4->end(), address.ip.begin());
    return address;
  }
  if (const auto v6 = parse_v6(host)) {
    address.family = Address::Family::inet6;
    address.ip = *v6;
    return address;
  }
  return std::nullopt;
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
