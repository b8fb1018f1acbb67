#include "sim/faults.h"

namespace purgeline::sim {
namespace {

constexpr FaultRow kRows[] = {
#define X(kind, name, most) {name, most},
    PURGELINE_FAULTS(X)
#undef X
};

}  // namespace

const char* fault_name(Fault fault) {
  return kRows[static_cast<std::size_t>(fault)].name;
}

// A run without faults must be boring.
Faults::Faults(test::FakeRandom& random) : FaultsOf(random, kRows, random.below(16) == 0) {}

}  // namespace purgeline::sim
