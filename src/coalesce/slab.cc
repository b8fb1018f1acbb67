#include "coalesce/slab.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

Slab::Slab(std::uint64_t capacity)
    : most_chunks_(static_cast<std::uint32_t>(
          std::max<std::uint64_t>(capacity / kChunkBytes, 2 * kSizes.size()))) {}

std::uint16_t Slab::class_of(std::size_t bytes) {
  CHECK(bytes > 0 && bytes <= kLargest);
  const auto* found = std::lower_bound(kSizes.begin(), kSizes.end(), bytes);
  return static_cast<std::uint16_t>(found - kSizes.begin());
}

std::uint64_t Slab::room() const {
  // In the worst case each block opens a chunk of its class and the next ones fill it.
  const std::uint64_t free_chunks = most_chunks_ - chunks_in_use_;
  if (free_chunks <= kSizes.size()) return free_chunks;
  return free_chunks + (free_chunks - kSizes.size()) * (kChunkBytes / kLargest - 1);
}

Slab::Block Slab::take(std::size_t bytes) {
  const std::uint16_t size_class = class_of(bytes);
  auto& partial = partial_[size_class];
  const std::uint32_t at = partial.empty() ? new_chunk(size_class) : partial.back();
  Chunk& chunk = chunks_[at];
  CHECK(!chunk.free.empty() && chunk.size_class == size_class);
  const std::uint16_t number = chunk.free.back();
  chunk.free.pop_back();
  ++chunk.live;
  if (chunk.free.empty()) leave_partial(at);
  return Block{at, number, size_class};
}

void Slab::give(Block block) {
  CHECK(block.chunk < chunks_.size());
  Chunk& chunk = chunks_[block.chunk];
  CHECK(chunk.live > 0 && chunk.size_class == block.size_class);
  chunk.free.push_back(block.number);
  if (chunk.free.size() == 1) join_partial(block.chunk);
  if (--chunk.live > 0) return;
  leave_partial(block.chunk);
  chunk.free.clear();
  unused_.push_back(block.chunk);
  --chunks_in_use_;
}

std::span<char> Slab::bytes(Block block) {
  CHECK(block.chunk < chunks_.size());
  const std::size_t size = kSizes[block.size_class];
  return {chunks_[block.chunk].memory.get() + block.number * size, size};
}

std::uint32_t Slab::new_chunk(std::uint16_t size_class) {
  CHECK(chunks_in_use_ < most_chunks_);
  std::uint32_t at = 0;
  if (unused_.empty()) {
    at = static_cast<std::uint32_t>(chunks_.size());
    chunks_.emplace_back();
    chunks_[at].memory = std::make_unique_for_overwrite<char[]>(kChunkBytes);
  } else {
    at = unused_.back();
    unused_.pop_back();
  }
  Chunk& chunk = chunks_[at];
  CHECK(chunk.live == 0 && chunk.free.empty());
  chunk.size_class = size_class;
  const std::size_t blocks = kChunkBytes / kSizes[size_class];
  chunk.free.reserve(blocks);
  for (std::size_t i = blocks; i > 0; --i) chunk.free.push_back(static_cast<std::uint16_t>(i - 1));
  ++chunks_in_use_;
  join_partial(at);
  return at;
}

void Slab::leave_partial(std::uint32_t at) {
  auto& partial = partial_[chunks_[at].size_class];
  const std::uint32_t place = chunks_[at].partial_at;
  CHECK(place < partial.size() && partial[place] == at);
  partial[place] = partial.back();
  chunks_[partial[place]].partial_at = place;
  partial.pop_back();
  chunks_[at].partial_at = UINT32_MAX;
}

void Slab::join_partial(std::uint32_t at) {
  auto& partial = partial_[chunks_[at].size_class];
  CHECK(chunks_[at].partial_at == UINT32_MAX);
  chunks_[at].partial_at = static_cast<std::uint32_t>(partial.size());
  partial.push_back(at);
}

}  // namespace purgeline
