#include "sim/runner.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace purgeline::sim {
namespace {

void line(const char* name, std::uint64_t count) {
  std::printf("  %-40s %12llu\n", name, static_cast<unsigned long long>(count));
}

}  // namespace

RunResult run_seed(std::uint64_t seed, bool print) {
  World world(seed);
  world.trace().print(print);
  RunResult result;
  result.violation = world.run(std::chrono::seconds(20));
  result.hash = world.trace().hash();
  result.counts = world.counts();
  return result;
}

HostsResult run_hosts(std::uint64_t seed, bool print, Hosts::Barrier barrier) {
  Hosts hosts(seed, barrier);
  hosts.trace().print(print);
  HostsResult result;
  result.violation = hosts.run(std::chrono::seconds(15));
  result.hash = hosts.trace().hash();
  result.counts = hosts.counts();
  return result;
}

void Report::add(const World::Counts& counts) {
  ++runs_;
  total_.events += counts.events;
  total_.purges += counts.purges;
  total_.dead_letters += counts.dead_letters;
  total_.letter_commits += counts.letter_commits;
  total_.fenced += counts.fenced;
  total_.fences_full += counts.fences_full;
  total_.reads += counts.reads;
  total_.stale_reads += counts.stale_reads;
  total_.overdue_reads += counts.overdue_reads;
  total_.stored_after_purge += counts.stored_after_purge;
  total_.revived += counts.revived;
  total_.refilled += counts.refilled;
  for (std::size_t i = 0; i < kFaults; ++i) total_.faults[i] += counts.faults[i];
}

void Report::print() const {
  line("seeds", runs_);
  line("events", total_.events);
  line("purges sent", total_.purges);
  line("dead letters", total_.dead_letters);
  line("events committed by a dead letter", total_.letter_commits);
  line("events committed after their fences", total_.fenced);
  line("times that the table of fences was full", total_.fences_full);
  line("pages read", total_.reads);
  line("old pages read", total_.stale_reads);
  line("and later than fences would allow", total_.overdue_reads);
  line("copies stored after a purge of them", total_.stored_after_purge);
  line("and revived by a 304", total_.revived);
  line("hits handed to the layer behind", total_.refilled);
  for (std::size_t i = 0; i < kFaults; ++i)
    line(fault_name(static_cast<Fault>(i)), total_.faults[i]);
}

std::vector<std::string> Report::missing() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (total_.faults[i] == 0) names.emplace_back(fault_name(static_cast<Fault>(i)));
  }
  if (total_.fenced == 0) names.emplace_back("events committed after their fences");
  if (total_.fences_full == 0) names.emplace_back("full tables of fences");
  if (total_.stale_reads == 0) names.emplace_back("old pages read");
  if (total_.overdue_reads == 0) names.emplace_back("old pages that a fence would have removed");
  if (total_.revived == 0) names.emplace_back("copies revived by a 304");
  if (total_.refilled == 0) names.emplace_back("hits handed to the layer behind");
  if (total_.letter_commits == 0) names.emplace_back("commits that wait for a dead letter");
  return names;
}

void HostsReport::add(const Hosts::Counts& counts) {
  ++runs_;
  total_.hosts += counts.hosts;
  total_.events += counts.events;
  total_.purges += counts.purges;
  total_.dead_letters += counts.dead_letters;
  total_.fenced += counts.fenced;
  total_.reads += counts.reads;
  total_.stale_reads += counts.stale_reads;
  total_.overdue_reads += counts.overdue_reads;
  for (std::size_t i = 0; i < kHostFaults; ++i) total_.between[i] += counts.between[i];
  for (std::size_t i = 0; i < kFaults; ++i) total_.faults[i] += counts.faults[i];
}

void HostsReport::print() const {
  line("seeds", runs_);
  line("hosts", total_.hosts);
  line("events", total_.events);
  line("purges sent", total_.purges);
  line("dead letters", total_.dead_letters);
  line("events committed after their fences", total_.fenced);
  line("pages read", total_.reads);
  line("old pages read", total_.stale_reads);
  line("and later than they may be", total_.overdue_reads);
  for (std::size_t i = 0; i < kHostFaults; ++i)
    line(host_fault_name(static_cast<HostFault>(i)), total_.between[i]);
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (total_.faults[i] > 0) line(fault_name(static_cast<Fault>(i)), total_.faults[i]);
  }
}

std::vector<std::string> HostsReport::missing() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kHostFaults; ++i) {
    if (total_.between[i] == 0) names.emplace_back(host_fault_name(static_cast<HostFault>(i)));
  }
  if (total_.fenced == 0) names.emplace_back("events committed after their fences");
  if (total_.stale_reads == 0) names.emplace_back("old pages read");
  return names;
}

std::vector<std::uint64_t> read_seeds(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::uint64_t> seeds;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::uint64_t seed = 0; words >> seed;) seeds.push_back(seed);
  }
  return seeds;
}

}  // namespace purgeline::sim
