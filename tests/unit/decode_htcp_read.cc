// Prints what read_htcp makes of each line of its input, a datagram in hexadecimal digits: the
// transaction, a space and the URI in hexadecimal digits; or "!" and the reason.
// decode_htcp_differential.py compares it with another reader.
#include <cstdio>
#include <iostream>
#include <string>

#include "decode/htcp.h"

namespace {

std::string bytes_of(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::string datagram = bytes_of(line);
    const purgeline::HtcpClear clear = purgeline::read_htcp(datagram);
    if (clear.outcome != purgeline::HtcpOutcome::accepted) {
      std::printf("!%s\n", purgeline::htcp_outcome_name(clear.outcome));
      continue;
    }
    std::printf("%u ", clear.transaction);
    for (const char c : clear.uri) std::printf("%02x", static_cast<unsigned char>(c));
    std::printf("\n");
  }
  return 0;
}
