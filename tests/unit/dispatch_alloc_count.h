// How often this program has allocated. The operators are in a file of their own, so that the
// compiler does not see malloc() meet delete.
#pragma once

#include <cstddef>

namespace purgeline::test {

[[nodiscard]] std::size_t allocation_count();

}  // namespace purgeline::test
