// read_htcp: one datagram into the URL that an HTCP CLR names, or a reason why not.
//
// Place:  behind the HTCP socket. Pure: bytes in, views into those bytes out.
// Thread: any.
// Bound:  a datagram of kMaxHtcp bytes.
//
// Every length is checked against the datagram and against the lengths around it: a packet whose
// lengths do not add up is refused whole, because any URL taken from it would be a guess. Both
// layouts are read: that of RFC 2756 (MINOR 1 and later), and that with the bits of the opcode and
// flags reversed (MINOR 0), which MediaWiki and Squid send.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "purgeline/intake.h"

namespace purgeline {

struct HtcpClear {
  HtcpOutcome outcome{HtcpOutcome::accepted};
  std::uint32_t transaction{
      0};                // numbered by the sender, one by one; also of many a refused packet
  std::string_view uri;  // not checked: the URL splitter does that
};

inline constexpr std::size_t kMaxHtcp = 8192 + 512;  // the longest URI and what stands around it

[[nodiscard]] HtcpClear read_htcp(std::string_view datagram);

}  // namespace purgeline
