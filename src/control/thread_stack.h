// Where another thread of this process is: for the log line about a loop that does not turn.
//
// Place:  the control thread asks, about the shard.
// Thread: one asks at a time. The other thread answers in a handler of SIGURG, a signal that
// nothing
//         else here uses and that does nothing where no handler is.
// Bound:  kFrames frames; the wait for them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace purgeline {

// The functions that are active, innermost first, as "a < b < c"; a place in the file where no name
// is known. Empty when the thread does not answer: it is stopped, or sleeps in the kernel.
[[nodiscard]] std::string stack_of_thread(pid_t thread, std::chrono::milliseconds patience);

}  // namespace purgeline
