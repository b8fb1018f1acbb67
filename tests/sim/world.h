// World: the real pipeline in a simulated one. A log, layers of caches, producers and time; faults,
// crashes and restarts; all from one seed.
//
// Simulated are Clock, Random, the log, the stores and the bytes of Transport; everything between
// them is what the daemon runs, wired by Pipeline. scenario.cc says what happens in a run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "sim/cache_draws.h"
#include "sim/checkers.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"
#include "sim/sim_content.h"
#include "sim/sim_program.h"
#include "sim/sim_source.h"
#include "sim/sim_stores.h"
#include "sim/sim_transport.h"
#include "sim/trace.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

class World {
 public:
  // `capacity`: of every table; 0: drawn.
  explicit World(std::uint64_t seed, std::uint64_t capacity = 0);

  // Old pages are held against promise 4 although the program has no fences: for tests of the
  // checker.
  void without_fences();

  // Producers and faults for `busy`, then quiet until everything is finished, then the checks.
  // Empty, or what was broken.
  std::string run(Duration busy);

  // One turn of the program, which is started when it does not run; and its end without a word.
  void step();
  void crash();
  void stop();  // in order, as on SIGTERM: it goes on for some turns
  void produce();
  void calm();  // all faults end

  [[nodiscard]] Pipeline& pipeline() { return program_->pipeline; }
  [[nodiscard]] SimLog& log() { return log_; }
  [[nodiscard]] SimTransport& transport() { return transport_; }
  [[nodiscard]] SimClock& clock() { return clock_; }
  [[nodiscard]] Faults& faults() { return faults_; }
  [[nodiscard]] Trace& trace() { return trace_; }
  [[nodiscard]] LetterDisk& letters() { return letters_; }
  [[nodiscard]] const Checker& checker() const { return *checker_; }
  static constexpr const char* kFirstTopic = "eqiad.resource-purge";
  static constexpr std::uint16_t kBackend = 1000;

  struct Counts {
    std::uint64_t events{0}, purges{0}, dead_letters{0}, letter_commits{0};
    std::uint64_t reads{0}, stale_reads{0}, overdue_reads{0};
    std::uint64_t stored_after_purge{0}, revived{0}, refilled{0};
    std::uint64_t fenced{0}, fences_full{0};
    FaultCounts faults{};
  };
  [[nodiscard]] Counts counts() const;

 private:
  static const std::vector<std::string> kOurs;     // hosts to purge
  static const std::vector<std::string> kForeign;  // and among them those that are not ours
  struct Crash {};                                 // thrown through the program, which is then gone

  // scenario.cc
  void build_layers();
  void plan(Duration busy);
  void plan_log(Duration busy);
  void plan_clocks(Duration busy);
  void plan_caches(Duration busy);
  // reload.cc
  void change_config();
  [[nodiscard]] SimTarget draw_target(std::uint16_t port, const LayerConfig& layer);
  void add_target(LayerConfig& layer);
  void add_layer();
  void remove_target();
  void reload();
  [[nodiscard]] std::vector<std::vector<std::uint16_t>> ports() const;
  // readers.cc
  void fill_caches();
  [[nodiscard]] Duration below(Duration most) { return drawn_below(reader_random_, most); }
  void page_changed(const std::string& url, MonoTime made);
  void read_later(const std::string& url);
  void stop_cache(std::uint16_t port);
  void start_cache(std::uint16_t port);
  void configured();
  void check_copies();
  [[nodiscard]] bool room_for_fences() const;
  // scenario.cc
  void write_backlog();
  [[nodiscard]] std::string draw_url();
  [[nodiscard]] std::string draw_json(const std::string& url, bool& wanted);
  void append(const std::string& topic, const std::string& url, const std::string& json,
              MonoTime changed, bool wanted, WallTime log_time);
  void eat_unread();
  void recreate_topic();
  void change_cluster();
  void repeat(Fault fault, Duration busy, const std::function<void()>& action);
  MonoTime soon(Duration most);

  void begin();
  void end_of_program();
  void line(std::string_view event, LogFields fields);
  void maybe_crash();
  void look();
  [[nodiscard]] PartitionName draw_partition();
  [[nodiscard]] bool quarantined(const PartitionName& name) const;
  void release_fresh();
  void committing(const Commit& commit, bool to_log);
  [[nodiscard]] std::string unfinished() const;
  [[nodiscard]] std::vector<PartitionName> partitions() const;  // that exist now

  test::FakeRandom random_;
  test::FakeRandom program_random_;
  test::FakeRandom reader_random_;  // of its own: who reads changes nothing else
  SimClock clock_;
  Trace trace_{clock_};
  Faults faults_;
  Agenda agenda_;
  SimTransport transport_;
  SimLog log_;
  SimLog disk_;  // state.db: only positions
  LetterDisk letters_;
  TracedLog lines_{trace_, [this](std::string_view event, LogFields fields) {
                     line(event, fields);
                   }};
  PurgeConfig config_;
  LogConfig log_config_;
  std::vector<std::string> deny_;                       // hosts
  std::vector<std::pair<std::string, Endpoint>> gone_;  // layers and targets that were removed
  std::uint16_t next_port_{20000};
  std::uint32_t next_layer_{0};
  bool reload_now_{false};
  std::vector<std::string> topics_;
  std::unique_ptr<Checker> checker_;
  FillTimes times_;
  bool fences_{false};
  CacheKind kinds_;  // what the caches of this world have in common
  SimContent content_{cache_draws(reader_random_, times_, kinds_)};
  std::uint64_t reads_{0};
  std::uint64_t fences_full_{0};
  std::unique_ptr<SimProgram> program_;
  // Made anew, and not yet known to the program.
  struct Fresh {
    PartitionName name;
    bool told{false};                   // that its offset is out of range
    MonoTime noticed{MonoTime::max()};  // and has begun to read it
  };
  std::vector<Fresh> fresh_;
  bool unique_{false};
  bool crash_now_{false};
  bool stop_now_{false};
  std::uint64_t crash_in_{0};  // calls of the program until it ends in the middle of one
  std::optional<MonoTime> stop_until_;
  std::uint64_t produced_{0};
  std::int64_t clusters_{0};
};

}  // namespace purgeline::sim
