#include "sim/faults.h"

#include "purgeline/check.h"

namespace purgeline::sim {
namespace {

struct Row {
  const char* name;
  std::uint32_t most;
};
constexpr Row kRows[] = {
#define X(kind, name, most) {name, most},
    PURGELINE_FAULTS(X)
#undef X
};

}  // namespace

const char* fault_name(Fault fault) {
  return kRows[static_cast<std::size_t>(fault)].name;
}

Faults::Faults(test::FakeRandom& random) : random_(random) {
  const bool quiet = random_.below(16) == 0;  // a run without faults must be boring
  for (std::size_t i = 0; i < kFaults; ++i) {
    const bool drawn = random_.below(2) == 0;
    const auto likeliness = static_cast<std::uint32_t>(1 + random_.below(kRows[i].most));
    if (drawn && !quiet) likeliness_[i] = likeliness;
  }
}

bool Faults::hit(Fault fault) {
  const std::uint32_t likeliness = likeliness_[static_cast<std::size_t>(fault)];
  if (stopped_ || likeliness == 0 || random_.below(1000) >= likeliness) return false;
  happened(fault);
  return true;
}

std::uint64_t Faults::times(Fault fault) {
  return stopped_ ? 0 : likeliness_[static_cast<std::size_t>(fault)];
}

}  // namespace purgeline::sim
