// A CLR packet as MediaWiki packs it.
#pragma once

#include <cstdint>
#include <string>

namespace purgeline::test {

inline std::string htcp_packet(const std::string& uri, std::uint32_t transaction) {
  const auto two = [](std::size_t number) {
    return std::string{static_cast<char>(number >> 8), static_cast<char>(number & 0xFF)};
  };
  const std::string specifier =
      two(4) + "HEAD" + two(uri.size()) + uri + two(8) + "HTTP/1.0" + two(0);
  const std::size_t data = 10 + specifier.size();
  return two(4 + data + 2) + two(0) + two(data) + std::string("\x04\x00", 2) +
         two(transaction >> 16) + two(transaction & 0xFFFF) + two(0) + specifier + two(2);
}

}  // namespace purgeline::test
