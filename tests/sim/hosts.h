// Hosts: several hosts in one simulated world. Each runs the real pipeline over a layer of backends
// and a layer of frontends of its own; they read one log, and each frontend is filled from any
// host's backends.
//
// What is the world's: time, the log, the origin, what caches hold, the topic by which hosts tell
// each other how far they are, and the disk for dead letters. What is a host's: its program with
// its lives and clock, its caches, its positions, and the checker of what it promises.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/checkers.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"
#include "sim/sim_content.h"
#include "sim/sim_peers.h"
#include "sim/sim_program.h"
#include "sim/sim_stores.h"
#include "sim/sim_transport.h"
#include "sim/trace.h"

namespace purgeline::sim {

class Hosts {
 public:
  enum class Barrier : std::uint8_t {
    on,
    off,          // no host has peers in its configuration
    off_to_read,  // and only what readers get is held against the promise
  };
  explicit Hosts(std::uint64_t seed, Barrier barrier = Barrier::on);

  // As World::run().
  std::string run(Duration busy);
  [[nodiscard]] Trace& trace() { return trace_; }

  struct Counts {
    std::uint64_t hosts{0}, events{0}, purges{0}, dead_letters{0}, fenced{0};
    std::uint64_t reads{0}, stale_reads{0}, overdue_reads{0};
    HostFaultCounts between{};
    FaultCounts faults{};
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Crash {  // thrown through the program of a host, which is then gone
    std::size_t host;
  };
  // Each host's moments are its own, and its wall clock is right within some tenths of a second.
  class HostClock : public Clock {
   public:
    HostClock(const SimClock& world, Duration ahead, Duration wrong)
        : world_(world), ahead_(ahead), wrong_(wrong) {}
    [[nodiscard]] MonoTime now() const override { return world_.now() + ahead_; }
    [[nodiscard]] WallTime wall() const override { return world_.wall() + wrong_; }
    [[nodiscard]] bool wall_synchronised() const override { return true; }
    void refresh() override {}
    [[nodiscard]] Duration ahead() const { return ahead_; }

   private:
    const SimClock& world_;
    const Duration ahead_, wrong_;
  };
  struct Host {
    Host(Hosts& world, std::size_t index);
    const std::size_t index;
    const std::string name;
    HostClock clock;
    test::FakeRandom random;  // the program's
    SimTransport transport;
    TracedLog lines;
    PurgeConfig config;
    std::vector<std::vector<std::uint16_t>> layers;  // ports
    bool faulty_backend{false};
    SimLog disk;
    std::unique_ptr<Checker> checker;
    std::unique_ptr<SimProgram> program;
    bool crash_now{false};
    bool stop_now{false};
    bool ended{false};  // once at least
    std::uint64_t crash_in{0};
    MonoTime away_until{};
    std::optional<MonoTime> stop_until;
  };

  // hosts_scenario.cc
  void draw_config();
  void build(Host& host);
  void add_cache(Host& host, LayerConfig& layer, std::size_t depth);
  void fill_caches();
  void plan(Duration busy);
  void plan_hosts(Duration busy);
  void plan_peers(Duration busy);
  void plan_caches(Duration busy);
  void produce();
  void append(const std::string& url, const std::string& json, MonoTime changed, bool wanted);
  void page_changed(const std::string& url, MonoTime made);
  void read_later(const std::string& url);
  void calm();
  [[nodiscard]] MonoTime soon(Duration most);
  [[nodiscard]] Host& any_host() { return *hosts_[random_.below(hosts_.size())]; }
  template <typename Action>
  void repeat(std::uint64_t times, Duration busy, Action action);

  void step();
  void turn(Host& host);
  void pass_time();
  void begin(Host& host);
  void end_of_program(Host& host);
  void crash(Host& host);
  void stop(Host& host);
  void maybe_crash(Host& host);
  void line(Host& host, std::string_view event, LogFields fields);
  [[nodiscard]] bool left_out_for_a_reason(const Host& host, const std::string& peer) const;
  [[nodiscard]] std::string unfinished() const;
  [[nodiscard]] std::string violation() const;
  [[nodiscard]] std::vector<PartitionName> partitions() const;
  [[nodiscard]] Checker& checker_of(std::uint16_t port);

  const Barrier barrier_;
  test::FakeRandom random_;
  test::FakeRandom reader_random_;
  SimClock clock_;
  Trace trace_{clock_};
  Faults faults_{random_};
  bool quiet_;  // nothing happens to any host, and no cache fails
  HostFaults host_faults_;
  Agenda agenda_;
  SimCaches caches_;
  SimLog log_;
  LetterDisk letters_;
  SimPeers peers_{clock_, agenda_, random_, host_faults_};
  PurgeConfig config_;  // what the hosts have in common
  LogConfig log_config_;
  FillTimes times_;
  CacheKind kinds_;
  SimContent content_;
  bool fences_{false};
  bool unique_{false};
  std::uint64_t produced_{0};
  std::uint64_t reads_{0};
  std::size_t first_{0};  // whose turn is first
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace purgeline::sim
