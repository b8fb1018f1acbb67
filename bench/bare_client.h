// The least that a client can do which purges as Purgeline does: what the machine allows.
#pragma once

#include "peer.h"

namespace purgeline::bench {

// One thread, four connections with 64 purges in flight, filled up and harvested every millisecond.
// It counts empty lines: it knows no URL, no answer and no failure, and keeps nothing of a purge.
void purge_bare(const Cache& cache, long round, long count);

}  // namespace purgeline::bench
