// What a message between peers holds.
//
// Bytes: 'P', a version, the host, then per topic its name and per partition of it seven numbers.
// Numbers are unsigned LEB128, texts a length and their bytes. A reader refuses what it does not
// know to the last byte, so that a later version can mean other things by its own number.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "purgeline/peers.h"
#include "purgeline/result.h"

namespace purgeline {

// kMaxPeerPartitions marks of the longest names would be longer; those of one topic are a quarter.
inline constexpr std::size_t kMaxPeerMessage = 256 << 10;

// REQUIRES: at most kMaxPeerPartitions marks.
[[nodiscard]] std::string encode_peer_report(std::string_view host,
                                             std::span<const PeerMark> marks);
// Errc::invalid with what is wrong, whatever the bytes are.
[[nodiscard]] Result<PeerReport> decode_peer_report(std::string_view bytes);

}  // namespace purgeline
