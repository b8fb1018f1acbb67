// Any bytes as a message of a peer: what is accepted comes out the same when it is written again.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>

#include "purgeline/check.h"
#include "sources/peer_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size: one byte too far is seen by the sanitizer.
  const std::unique_ptr<char[]> copy = std::make_unique<char[]>(size);
  std::copy_n(data, size, copy.get());
  const auto report = purgeline::decode_peer_report({copy.get(), size});
  if (!report) return 0;
  CHECK(report->marks.size() <= purgeline::kMaxPeerPartitions);
  for (const purgeline::PeerMark& mark : report->marks) {
    CHECK(mark.fenced <= mark.purged && mark.gap_to <= mark.purged);
  }
  const auto again =
      purgeline::decode_peer_report(purgeline::encode_peer_report(report->host, report->marks));
  CHECK(again.has_value() && again->host == report->host);
  CHECK(again->marks.size() == report->marks.size());
  return 0;
}
