// Reading dead letters from state.db beside a running daemon, or without one: for the command line.
//
// Thread: any but the shard's; each call opens the file read-only and closes it again.
// Bound:  `limit` letters at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgeline/result.h"
#include "purgeline/stores.h"

namespace purgeline {

struct ReasonCount {
  std::string reason;
  std::uint64_t letters{0};
};

// Newest first, after leaving out the `skip` newest.
[[nodiscard]] Result<std::vector<DeadLetter>> list_dead_letters(const std::string& path,
                                                                std::uint32_t limit,
                                                                std::uint64_t skip = 0);

// Most frequent first.
[[nodiscard]] Result<std::vector<ReasonCount>> count_dead_letters(const std::string& path);

}  // namespace purgeline
