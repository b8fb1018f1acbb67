// The short way through an answer of the usual kind.
#pragma once

#include <cstddef>
#include <span>

#include "dispatch/http1.h"

namespace purgeline {

// The size of the answer at the front of `bytes`, and `answer`, when it is there as a whole and of
// the kind that caches send: HTTP/1.1, a status from 200 on, a length where one is needed, and a
// connection that stays. 0, and nothing is said, for everything else: that is for ResponseParser's
// state machine to read, and so is what is wrong. Both must read what this one takes alike.
[[nodiscard]] std::size_t take_whole_answer(std::span<const std::byte> bytes, Answer& answer);

}  // namespace purgeline
