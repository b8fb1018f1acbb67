// The shard of `purgeline run`, metrics and commits included, from a mock broker to a null sink.
//
// `shard_bench [EVENTS]`: a backlog. Exit status 1 when a sink did not see every URL.
// `shard_bench idle`: no events. `steady`: 1000 a second. `burst`: 2000 a second, then 8000.
#include <librdkafka/rdkafka.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "null_sink.h"
#include "peer.h"
#include "purgeline/check.h"
#include "row.h"
#include "usage.h"
#include "world.h"

namespace purgeline::bench {
namespace {

constexpr long kWindow = 8;  // seconds that idle and steady are watched for

struct Sinks {
  NullSink sink{start_null_sink()};
  Sinks() = default;
  ~Sinks() {
    ::kill(sink.process, SIGKILL);
    ::waitpid(sink.process, nullptr, 0);
  }
  Sinks(const Sinks&) = delete;
  Sinks& operator=(const Sinks&) = delete;
  [[nodiscard]] std::array<std::uint16_t, 2> ports() const {
    return {sink.ports[0], sink.ports[1]};
  }
  [[nodiscard]] std::vector<Cache> caches() const {
    return {{"127.0.0.1", sink.ports[0], ""}, {"127.0.0.1", sink.ports[1], ""}};
  }
};

// The CPU time of a process that only asks librdkafka for messages of the log, over the window.
class BareConsumer {
 public:
  explicit BareConsumer(const std::string& brokers) {
    int pipe[2];
    CHECK(::pipe(pipe) == 0);
    process_ = ::fork();
    CHECK(process_ >= 0);
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      consume(brokers, pipe[1]);
    }
    ::close(pipe[1]);
    answer_ = pipe[0];
  }
  double wait() {
    double used = 0;
    CHECK(::read(answer_, &used, sizeof used) == sizeof used);
    ::close(answer_);
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    return used;
  }

 private:
  [[noreturn]] static void consume(const std::string& brokers, int answer) {
    char error[512];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), error, sizeof error);
    rd_kafka_conf_set(conf, "group.id", "bare", error, sizeof error);
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    CHECK(client != nullptr);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "purge", 0)->offset = RD_KAFKA_OFFSET_END;
    CHECK(rd_kafka_assign(client, list) == RD_KAFKA_RESP_ERR_NO_ERROR);
    const auto spend = [client](double seconds) {
      for (const Stopwatch watch; watch.seconds() < seconds;) {
        rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 200);
        if (message != nullptr) rd_kafka_message_destroy(message);
      }
    };
    spend(1);
    const double before = own_cpu();
    spend(kWindow);
    const double used = own_cpu() - before;
    CHECK(::write(answer, &used, sizeof used) == sizeof used);
    for (;;) ::pause();
  }

  pid_t process_;
  int answer_;
};

void start(World& world) {
  CHECK(world.shard->start().has_value());
  const Stopwatch watch;
  while (!world.up() && watch.seconds() < 30) pause_ms(20);
  CHECK(world.up());
}

// Memory once everything is up and nothing has come yet, and what it costs to stay so.
int run_idle() {
  const Sinks sinks;
  World world({0, 1}, sinks.ports());
  BareConsumer bare(world.log.brokers);
  start(world);
  pause_ms(1000);
  const double before = own_cpu();
  const double theirs = bare.wait();  // the same window, nearly
  const double used = own_cpu() - before;
  std::printf("idle CPU            %.2f %% of a core, a bare librdkafka consumer %.2f %%\n",
              used * 100 / kWindow, theirs * 100 / kWindow);
  print_row({"P12", "resident memory when idle, MiB", 32, resident_mib(), Better::lower});
  print_row({"P13", "idle CPU over a bare consumer, points of a core", 0.05,
             (used - theirs) * 100 / kWindow, Better::lower});
  return 0;
}

// The same pages a second by the peer's threads, each page at its own time.
double peer_at(const Sinks& sinks, long rate, long seconds) {
  const double before = own_cpu();
  const auto begin = std::chrono::steady_clock::now();
  purge_as_purged(sinks.caches(), 1, rate * seconds, [begin, rate](long number) {
    std::this_thread::sleep_until(begin + std::chrono::nanoseconds(1'000'000'000 / rate * number));
  });
  return own_cpu() - before;
}

int run_steady() {
  constexpr long kRate = 1000;
  const Sinks sinks;
  double used = 0;
  {
    World world({0, 8}, sinks.ports());
    start(world);
    produce(world.log, kRate, kWindow + 2);
    pause_ms(1000);
    const double before = own_cpu();
    pause_ms(kWindow * 1000);
    used = (own_cpu() - before) / kWindow;
    std::printf("1000 events/s       %.2f %% of a core\n", used * 100);
  }
  const double theirs = peer_at(sinks, kRate, 4) / 4;
  print_row({"P9", "CPU at 1000 events/s, percent of a core", 3, used * 100, Better::lower});
  print_row({"P9", "the same: peer / Purgeline", 10, theirs / used, Better::higher});
  return 0;
}

int run_burst() {
  const Sinks sinks;
  World world({.partitions = 8, .paced = true}, sinks.ports());
  start(world);
  pause_ms(2000);  // its partitions are found and read
  produce(world.log, 2000, 2);
  produce(world.log, 8000, 4);
  const Stopwatch watch;
  while (sinks.sink.counts[1].distinct < 36000 && watch.seconds() < 30) pause_ms(20);
  const SinkCounts& counts = sinks.sink.counts[0];
  std::printf("2000/s, then 8000/s age at the first layer p50 %.1f ms, p99 %.1f ms\n",
              counts.age(0.5) * 1e3, counts.age(0.99) * 1e3);
  print_row({"P11", "age at the first layer in a burst, p99 ms", 150, counts.age(0.99) * 1e3,
             Better::lower});
  return counts.distinct == 36000 ? 0 : 1;
}

// Events a second of the peer into the same sinks, which it has for itself.
double peer_rate(const Sinks& sinks) {
  constexpr long kEvents = 40000;
  const Stopwatch watch;
  purge_as_purged(sinks.caches(), 1, kEvents);
  return kEvents / watch.seconds();
}

int run(long events) {
  const Sinks sinks;
  const SinkCounts* counts = sinks.sink.counts;
  const auto wanted = static_cast<double>(events);
  bool all = true;
  double seconds = 0;
  {
    World world({events, 64}, sinks.ports());
    const double idle = resident_mib();
    const double cpu = own_cpu();
    const Stopwatch watch;
    CHECK(world.shard->start().has_value());
    while (counts[1].distinct < static_cast<std::uint64_t>(events) && watch.seconds() < 300) {
      pause_ms(2);
    }
    seconds = watch.seconds();
    while (world.committed() < wanted && watch.seconds() < 320) pause_ms(20);
    const double used = own_cpu() - cpu;
    const auto snapshot = world.board.copy();
    std::printf("events %ld, to two layers, I/O by %s\n", events, snapshot.io_backend.c_str());
    std::printf("  events/s            %.0f, %.0f purges a turn\n", wanted / seconds,
                2 * wanted / static_cast<double>(snapshot.shard.turns));
    std::printf("  router CPU          %.2f s per million purges\n", used * 1e6 / 2 / wanted);
    std::printf("  resident            %.0f MiB before, %.0f MiB after\n", idle, resident_mib());
    std::printf("  committed           %.0f\n", world.committed());
    all = world.committed() >= wanted;
    for (int i = 0; i < 2; ++i) {
      std::printf("  layer %d             %llu requests, %llu distinct URLs\n", i + 1,
                  static_cast<unsigned long long>(counts[i].requests),
                  static_cast<unsigned long long>(counts[i].distinct));
      all = all && counts[i].distinct == static_cast<std::uint64_t>(events);
    }
    print_row({"P8", "router CPU per event into the null sink, us", 3.6, used * 1e6 / wanted,
               Better::lower});
  }
  print_row({"P6", "events/s, null sink: Purgeline / peer", 12, wanted / seconds / peer_rate(sinks),
             Better::higher});
  return all ? 0 : 1;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  using namespace purgeline::bench;
  tune_memory();
  const std::string what = argc > 1 ? argv[1] : "300000";
  if (what == "idle") return run_idle();
  if (what == "steady") return run_steady();
  if (what == "burst") return run_burst();
  return run(std::atol(what.c_str()));
}
