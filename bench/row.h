// One row of the table of goals: what was measured, and whether that is good enough.
#pragma once

#include <cstdio>

namespace purgeline::bench {

enum class Better { lower, higher };

struct Row {
  const char* id;
  const char* what;
  double goal;
  double measured;
  Better better;
};

// bench/run gathers these lines for the table at its end.
inline void print_row(const Row& row) {
  const bool ok = row.better == Better::lower ? row.measured <= row.goal : row.measured >= row.goal;
  std::printf("row %-4s %-60s %s %8.2f %9.2f %7.2f  %s\n", row.id, row.what,
              row.better == Better::lower ? "<=" : ">=", row.goal, row.measured,
              row.measured / row.goal, ok ? "ok" : "missed");
}

}  // namespace purgeline::bench
