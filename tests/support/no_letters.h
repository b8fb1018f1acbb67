// Dead letters that are never expected.
#pragma once

#include <cstdint>

#include "purgeline/stores.h"

namespace purgeline::test {

class NoLetters : public DeadLetters {
 public:
  void start(DeadLetterListener&) override {}
  [[nodiscard]] bool put(std::uint64_t, const DeadLetter&) override { return false; }
  void poll() override {}
};

}  // namespace purgeline::test
