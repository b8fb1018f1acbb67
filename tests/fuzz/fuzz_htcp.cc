// Any bytes as an HTCP datagram: what is accepted points into the datagram, and is accepted again
// when it is packed anew around the same URI.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "decode/htcp.h"
#include "purgeline/check.h"

namespace {

void put(std::string& out, std::size_t number) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xFF);
}

std::string packed(std::string_view uri) {
  std::string out;
  put(out, 28 + uri.size());
  out.append(2, '\0');
  put(out, 22 + uri.size());
  out += '\x04';
  out.append(7, '\0');
  put(out, 4);
  out += "HEAD";
  put(out, uri.size());
  out += uri;
  out.append(4, '\0');
  put(out, 2);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size: one byte too far is seen by the sanitizer.
  const std::unique_ptr<char[]> copy = std::make_unique<char[]>(size);
  std::copy_n(data, size, copy.get());
  const std::string_view datagram(copy.get(), size);
  const purgeline::HtcpClear clear = purgeline::read_htcp(datagram);
  CHECK(purgeline::htcp_outcome_name(clear.outcome) != nullptr);
  if (clear.outcome != purgeline::HtcpOutcome::accepted) return 0;
  CHECK(size >= 24 + clear.uri.size());
  CHECK(datagram.find(clear.uri) != std::string_view::npos);
  const std::string again = packed(clear.uri);
  const purgeline::HtcpClear same = purgeline::read_htcp(again);
  CHECK(same.outcome == purgeline::HtcpOutcome::accepted);
  CHECK(same.uri == clear.uri);
  return 0;
}
