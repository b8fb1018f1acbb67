// Reads one answer for each record of standard input through ResponseParser, for
// dispatch_response_differential.py: a 4-byte length, little endian, then the bytes. Prints a line
// for each: "STATUS END KEPT" with the number of bytes read, or "!" for one that is refused or does
// not end.
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "dispatch/http1.h"

int main() {
  using purgeline::ResponseParser;
  for (;;) {
    std::uint8_t head[4];
    if (std::fread(head, 1, sizeof head, stdin) != sizeof head) return 0;
    const std::uint32_t size =
        static_cast<std::uint32_t>(head[0]) | static_cast<std::uint32_t>(head[1]) << 8 |
        static_cast<std::uint32_t>(head[2]) << 16 | static_cast<std::uint32_t>(head[3]) << 24;
    std::vector<std::byte> text(size);
    if (std::fread(text.data(), 1, size, stdin) != size) return 1;
    ResponseParser parser;
    std::span<const std::byte> rest(text);
    const auto step = parser.next(rest);
    if (step == ResponseParser::Step::answer) {
      std::printf("%d %zu %d\n", parser.answer().status, text.size() - rest.size(),
                  parser.answer().keep_alive ? 1 : 0);
    } else {
      std::puts("!");
    }
  }
}
