// World: the real pipeline in a simulated one. A log, two layers of caches, producers and time;
// faults, crashes and restarts; all from one seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_transport.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

// Dead letters on a disk that outlives the program.
class SimDeadLetters : public DeadLetters {
 public:
  explicit SimDeadLetters(std::vector<DeadLetter>& disk) : disk_(disk) {}
  void start(DeadLetterListener& listener) override { listener_ = &listener; }
  [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter& letter) override;
  void poll() override;

 private:
  struct Waiting {
    std::uint64_t ticket;
    DeadLetter letter;
    int polls;
  };
  std::vector<DeadLetter>& disk_;
  DeadLetterListener* listener_{nullptr};
  std::vector<Waiting> waiting_;
};

class SilentLog : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields) override { ++lines_[std::string(event)]; }
  [[nodiscard]] std::uint64_t count(const std::string& event) const {
    const auto found = lines_.find(event);
    return found == lines_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, std::uint64_t> lines_;
};

class NoResolver : public Resolver {
 public:
  void resolve(std::string, std::uint16_t, ResolveHandler&) override { CHECK(false); }
  void cancel(ResolveHandler&) override {}
  void poll() override {}
};

class World {
 public:
  explicit World(std::uint64_t seed);

  // Producers and faults for `busy`, then quiet until everything is finished. False: it never was.
  bool run(Duration busy);

  // One turn of the program, which is started when it does not run; and its end without a word.
  void step();
  void crash();
  [[nodiscard]] Pipeline& pipeline() { return program_->pipeline; }
  [[nodiscard]] SimLog& log() { return log_; }
  [[nodiscard]] SimTransport& transport() { return transport_; }
  [[nodiscard]] SimClock& clock() { return clock_; }
  void produce();
  static constexpr const char* kFirstTopic = "eqiad.resource-purge";
  static constexpr std::uint16_t kBackend = 1000;

  // Empty, or what was broken.
  [[nodiscard]] std::string check();
  // The same for the same seed.
  [[nodiscard]] std::uint64_t trace_hash() const;

  struct Counts {
    std::uint64_t events{0}, crashes{0}, cache_stops{0}, denials{0}, log_outages{0},
        refused_commits{0};
    std::uint64_t dead_letters{0};
    SimTransport::Counts wire;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Made {
    std::string url;
    MonoTime at;
  };
  struct Program {
    Program(World& world);
    SimSource source;
    SimOffsetStore log_store;
    SimOffsetStore local_store;
    SimDeadLetters dead_letters;
    NoResolver resolver;
    Pipeline pipeline;
  };

  void draw_faults();
  void plan(Duration busy);
  void calm();
  [[nodiscard]] bool finished() const;
  [[nodiscard]] bool in_dead_letters(const std::string& url) const;
  [[nodiscard]] std::string describe(const Made& made);
  [[nodiscard]] std::string check_event(const Made& made);
  [[nodiscard]] std::string check_frontend_order();
  MonoTime soon(Duration most) {
    return clock_.now() + Duration(static_cast<std::int64_t>(
                              random_.below(static_cast<std::uint64_t>(most.count()))));
  }

  test::FakeRandom random_;
  SimClock clock_;
  MonoTime started_{clock_.now()};
  Agenda agenda_;
  SimTransport transport_;
  SimLog log_;
  SilentLog lines_;
  PurgeConfig config_;
  LogConfig log_config_;
  std::vector<std::uint16_t> backends_;
  std::vector<std::uint16_t> frontends_;
  std::vector<DeadLetter> disk_;
  std::vector<Made> made_;
  std::unique_ptr<Program> program_;
  bool crash_now_{false};
  Counts counts_;
};

}  // namespace purgeline::sim
