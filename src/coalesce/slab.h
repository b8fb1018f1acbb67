// Slab: the bytes of URLs, in size classes.
//
// Place:  under the coalescer's key table; one block per key with unfinished events.
// Thread: the shard's.
// Bound:  `capacity` bytes, counted in whole chunks. A chunk whose blocks are all free goes back to
// the
//         common store, so that a storm of one length of URL does not starve the next of another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace purgeline {

class Slab {
 public:
  // Longest block: a host, a request target of 8 KiB and an event's id.
  static constexpr std::size_t kLargest = 10240;

  struct Block {
    std::uint32_t chunk{UINT32_MAX};
    std::uint16_t number{0};
    std::uint16_t size_class{0};
    [[nodiscard]] bool valid() const { return chunk != UINT32_MAX; }
  };

  explicit Slab(std::uint64_t capacity);

  // REQUIRES: 0 < bytes <= kLargest, and room_for_largest() was true since the last take.
  Block take(std::size_t bytes);
  void give(Block block);
  [[nodiscard]] std::span<char> bytes(Block block);

  // How many blocks of any size are certain to fit.
  [[nodiscard]] std::uint64_t room() const;
  [[nodiscard]] std::uint64_t used_bytes() const {
    return std::uint64_t{chunks_in_use_} * kChunkBytes;
  }

 private:
  static constexpr std::size_t kChunkBytes = 64 * 1024;
  static constexpr std::array<std::uint32_t, 14> kSizes{48,  64,  96,   128,  192,  256,  384,
                                                        512, 768, 1024, 2048, 4096, 6144, kLargest};
  struct Chunk {
    std::unique_ptr<char[]> memory;
    std::vector<std::uint16_t> free;  // numbers of free blocks
    std::uint16_t live{0};
    std::uint16_t size_class{0};
    std::uint32_t partial_at{UINT32_MAX};  // index in partial_[size_class], if it has a free block
  };

  [[nodiscard]] static std::uint16_t class_of(std::size_t bytes);
  std::uint32_t new_chunk(std::uint16_t size_class);
  void leave_partial(std::uint32_t chunk);
  void join_partial(std::uint32_t chunk);

  std::uint32_t most_chunks_;
  std::uint32_t chunks_in_use_{0};
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> unused_;  // chunks that belong to no class now
  std::array<std::vector<std::uint32_t>, kSizes.size()> partial_;
};

}  // namespace purgeline
