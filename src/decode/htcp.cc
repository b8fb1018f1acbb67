#include "decode/htcp.h"

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::size_t kHeader = 4;      // LENGTH, MAJOR, MINOR
constexpr std::size_t kDataHeader = 8;  // LENGTH, opcode, flags, TRANS-ID
constexpr std::size_t kAuth = 2;        // its own length and nothing else: not signed
// A CLR with a specifier of four empty strings.
constexpr std::size_t kLeast = kHeader + kDataHeader + 2 + 4 * 2 + kAuth;

constexpr unsigned kClear = 4;

// Where the two layouts put things; a request has every bit of the flags but F1 at zero.
struct Layout {
  unsigned opcode_and_response;  // of a CLR request
  unsigned opcode_mask;
  unsigned response_wanted;  // F1: allowed, and not followed
};
constexpr Layout kReversed{kClear, 0x0F, 0x40};
constexpr Layout kStandard{kClear << 4, 0xF0, 0x02};

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

std::size_t two_bytes(std::string_view bytes, std::size_t at) {
  return (byte_at(bytes, at) << 8) | byte_at(bytes, at + 1);
}

std::uint32_t four_bytes(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint32_t>((two_bytes(bytes, at) << 16) | two_bytes(bytes, at + 2));
}

// Cuts a counted string off the front; false when it reaches beyond the end.
bool take_counted(std::string_view& bytes, std::string_view& out) {
  if (bytes.size() < 2) return false;
  const std::size_t size = two_bytes(bytes, 0);
  if (size > bytes.size() - 2) return false;
  out = bytes.substr(2, size);
  bytes.remove_prefix(2 + size);
  return true;
}

// Whether the opcode and the flags are those of a CLR request.
HtcpOutcome check_operation(std::string_view datagram) {
  const Layout& layout = byte_at(datagram, 3) == 0 ? kReversed : kStandard;
  const unsigned operation = byte_at(datagram, 6);
  const unsigned clear = layout.opcode_and_response;
  if ((operation & layout.opcode_mask) != clear) return HtcpOutcome::not_clear;
  if (operation != clear) return HtcpOutcome::not_request;
  if ((byte_at(datagram, 7) & ~layout.response_wanted) != 0) return HtcpOutcome::not_request;
  return HtcpOutcome::accepted;
}

// METHOD, URI, VERSION and REQ-HDRS, which fill the rest of DATA to the byte.
bool read_specifier(std::string_view bytes, std::string_view& uri) {
  std::string_view ignored;
  return take_counted(bytes, ignored) && take_counted(bytes, uri) && take_counted(bytes, ignored) &&
         take_counted(bytes, ignored) && bytes.empty();
}

}  // namespace

HtcpClear read_htcp(std::string_view datagram) {
  HtcpClear clear;
  const auto refused = [&clear](HtcpOutcome outcome) {
    clear.outcome = outcome;
    clear.uri = {};
    return clear;
  };
  if (datagram.size() < kLeast) return refused(HtcpOutcome::too_short);
  if (datagram.size() > kMaxHtcp) return refused(HtcpOutcome::too_long);
  if (two_bytes(datagram, 0) != datagram.size()) return refused(HtcpOutcome::bad_length);
  if (byte_at(datagram, 2) != 0) return refused(HtcpOutcome::bad_version);
  clear.transaction = four_bytes(datagram, 8);
  if (const HtcpOutcome outcome = check_operation(datagram); outcome != HtcpOutcome::accepted) {
    return refused(outcome);
  }
  // DATA counts itself, and AUTH takes what is left.
  const std::size_t data = two_bytes(datagram, kHeader);
  if (data < kDataHeader + 2 || data > datagram.size() - kHeader - kAuth) {
    return refused(HtcpOutcome::bad_length);
  }
  const std::size_t auth = two_bytes(datagram, kHeader + data);
  if (auth != datagram.size() - kHeader - data) return refused(HtcpOutcome::bad_length);
  if (auth != kAuth) return refused(HtcpOutcome::signed_packet);
  // Twelve reserved bits, then the reason for the CLR, of which any is as good.
  if ((two_bytes(datagram, kHeader + kDataHeader) & 0xFFF0) != 0) {
    return refused(HtcpOutcome::not_request);
  }
  const std::string_view specifier = datagram.substr(kHeader + kDataHeader + 2, data - 10);
  if (!read_specifier(specifier, clear.uri)) return refused(HtcpOutcome::bad_length);
  CHECK(clear.uri.empty() ||
        (clear.uri.data() >= datagram.data() && clear.uri.end() <= datagram.end()));
  return clear;
}

}  // namespace purgeline
