// Peers: what hosts tell each other of their backend layers, and the seam by which it travels.
//
// A frontend may be filled from backends of other hosts, so its purge has to wait for theirs. All
// of them read the same partitions of the same log, so an offset says which events are meant.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/types.h"

namespace purgeline {

inline constexpr std::size_t kMaxPeerName = 255;
// Of one host, over all topics: more than any log of purges has.
inline constexpr std::size_t kMaxPeerPartitions = 4096;

// How far one host's first layer is in one partition.
struct PeerMark {
  PartitionName name;
  Offset purged;  // every event below is done there,
  Offset fenced;  // and so are the fences of every event below; not above `purged`
  // But for these, [from, to), which it reads beside the live end or owes to a cache that is away.
  // Empty when from >= to; to is not above `purged`.
  Offset gap_from, gap_to;
  // And the fences of these are open besides, or will be. Likewise, with `fenced`.
  Offset fence_gap_from{}, fence_gap_to{};
  friend bool operator==(const PeerMark&, const PeerMark&) = default;
};

// What one host says of itself.
struct PeerReport {
  std::string host;
  std::vector<PeerMark> marks;
  friend bool operator==(const PeerReport&, const PeerReport&) = default;
};

class PeerListener {
 public:
  virtual ~PeerListener() = default;
  // All that `report.host` said last: partitions that are not in it are not read there.
  virtual void on_peer(const PeerReport& report) = 0;
};

// Thread: the shard's. Nothing blocks.
class PeerLink {
 public:
  virtual ~PeerLink() = default;
  // This host's name; reports of its own are never handed over.
  [[nodiscard]] virtual const std::string& name() const = 0;
  // What is said of this host from now on. The latest counts; what was not sent yet is forgotten.
  virtual void publish(std::span<const PeerMark> marks) = 0;
  // Hands over what was heard since the last call: of each host the latest.
  virtual void poll(PeerListener& listener) = 0;
  // Why peers are not heard; empty: they are, as far as is known.
  [[nodiscard]] virtual std::string trouble() const = 0;
};

}  // namespace purgeline
