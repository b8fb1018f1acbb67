// Runs seeds and tells what came of them: for the tests and for the program `sim`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/hosts.h"
#include "sim/world.h"

namespace purgeline::sim {

struct RunResult {
  std::string violation;  // empty: every promise was kept
  std::uint64_t hash{0};
  World::Counts counts;
};

[[nodiscard]] RunResult run_seed(std::uint64_t seed, bool print = false);

struct HostsResult {
  std::string violation;
  std::uint64_t hash{0};
  Hosts::Counts counts;
};

// A world of several hosts.
[[nodiscard]] HostsResult run_hosts(std::uint64_t seed, bool print = false,
                                    Hosts::Barrier barrier = Hosts::Barrier::on);

// Adds up what happened in many runs.
class Report {
 public:
  void add(const World::Counts& counts);
  void print() const;
  // Kinds of faults that never happened: what a run of many seeds must not have.
  [[nodiscard]] std::vector<std::string> missing() const;
  [[nodiscard]] std::uint64_t runs() const { return runs_; }
  [[nodiscard]] const World::Counts& total() const { return total_; }

 private:
  std::uint64_t runs_{0};
  World::Counts total_;
};

class HostsReport {
 public:
  void add(const Hosts::Counts& counts);
  void print() const;
  [[nodiscard]] std::vector<std::string> missing() const;
  [[nodiscard]] std::uint64_t runs() const { return runs_; }

 private:
  std::uint64_t runs_{0};
  Hosts::Counts total_;
};

// The seeds of a file, one a line; a # begins a comment.
[[nodiscard]] std::vector<std::uint64_t> read_seeds(const std::string& path);

}  // namespace purgeline::sim
