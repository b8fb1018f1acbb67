// The intake alone, events of 700 bytes from a mock broker: Purgeline's source, which hands over
// batches and tunes malloc, against librdkafka as it comes, message by message. Each in a process
// of its own, in turns. `intake_bench [EVENTS [ROUNDS]]`.
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "io/sockets.h"
#include "io/system_clock.h"
#include "mock_log.h"
#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "row.h"
#include "sources/kafka_connection.h"
#include "usage.h"
#include "world.h"

namespace purgeline::bench {
namespace {

constexpr int kPartitions = 64;
constexpr std::size_t kBatch = 512;  // as the pipeline reads

struct Used {
  double cpu;
  long faults;  // pages of memory that were touched for the first time
};

Used used_now() {
  rusage usage{};
  CHECK(::getrusage(RUSAGE_SELF, &usage) == 0);
  return {cpu_of_usage(usage), usage.ru_minflt};
}

// Events as they come, and what the second half of them costs: the first warms up.
class Meter {
 public:
  explicit Meter(long events) : events_(events) {}
  void count() {
    if (++got_ == events_ / 2) half_ = used_now();
  }
  [[nodiscard]] bool done() const { return got_ >= events_; }
  [[nodiscard]] Used second_half() const {
    const Used now = used_now();
    return {2 * (now.cpu - half_.cpu), 2 * (now.faults - half_.faults)};
  }

 private:
  long events_;
  long got_{0};
  Used half_{};
};

class Reader : public SourceListener, public RecordSink {
 public:
  Reader(const std::string& brokers, Meter& meter) : meter_(meter) {
    KafkaOptions options;
    options.brokers = {brokers};
    options.topics = {"purge"};
    options.group = "intake";
    auto made = KafkaConnection::make(options, wake_.get(), clock_);
    CHECK(made.has_value());
    connection_ = std::move(*made);
  }
  void run() {
    Source& source = connection_->source();
    source.start(*this);
    while (!meter_.done()) {
      pollfd wait{wake_.get(), POLLIN, 0};
      ::poll(&wait, 1, 100);
      drain_eventfd(wake_.get());
      clock_.refresh();
      source.poll();
      for (const CursorId cursor : cursors_) {
        while (source.read(cursor, kBatch, *this) == kBatch) {
        }
      }
    }
  }
  void on_record(const Record& /*record*/) override { meter_.count(); }
  void on_partition(PartitionId partition, const PartitionName& /*name*/) override {
    cursors_.push_back(
        connection_->source().open(partition, Range{Offset{0}, {}}, 1, Priority::live));
  }
  void on_topic_missing(const std::string& /*topic*/) override {}
  void on_topic_found(const std::string& /*topic*/) override {}
  void on_found(PartitionId /*p*/, std::uint64_t /*question*/, Result<Offset> /*at*/) override {}
  void on_ends(PartitionId /*p*/, std::uint64_t /*question*/, Result<LogEnds> /*ends*/) override {}
  void on_out_of_range(CursorId /*cursor*/, Offset /*wanted*/) override { CHECK(false); }
  void on_log_state(bool /*reachable*/, const std::string& /*why*/) override {}
  void on_cluster(const std::string& /*id*/) override {}

 private:
  SystemClock clock_;
  Fd wake_{make_eventfd()};
  std::unique_ptr<KafkaConnection> connection_;
  std::vector<CursorId> cursors_;
  Meter& meter_;
};

void read_tuned(const std::string& brokers, Meter& meter) {
  tune_memory();
  Reader(brokers, meter).run();
}

void read_plain(const std::string& brokers, Meter& meter) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), error, sizeof error);
  rd_kafka_conf_set(conf, "group.id", "plain", error, sizeof error);
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
  CHECK(client != nullptr);
  rd_kafka_poll_set_consumer(client);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(kPartitions);
  for (int i = 0; i < kPartitions; ++i) {
    rd_kafka_topic_partition_list_add(list, "purge", i)->offset = 0;
  }
  CHECK(rd_kafka_assign(client, list) == RD_KAFKA_RESP_ERR_NO_ERROR);
  while (!meter.done()) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 100);
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) meter.count();
    rd_kafka_message_destroy(message);
  }
}

Used in_a_process(void (*read)(const std::string&, Meter&), const std::string& brokers,
                  long events) {
  int pipe[2];
  CHECK(::pipe(pipe) == 0);
  const pid_t process = ::fork();
  CHECK(process >= 0);
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Meter meter(events);
    read(brokers, meter);
    const Used used = meter.second_half();
    CHECK(::write(pipe[1], &used, sizeof used) == sizeof used);
    ::_exit(0);  // ending the clients is no part of it
  }
  ::close(pipe[1]);
  Used used{};
  CHECK(::read(pipe[0], &used, sizeof used) == sizeof used);
  ::close(pipe[0]);
  ::waitpid(process, nullptr, 0);
  return used;
}

int run(long events, long rounds) {
  const MockLog log = start_mock_log({.events = events, .partitions = kPartitions, .size = 700});
  std::vector<double> ratios;
  const auto millions = static_cast<double>(events) * 1e-6;
  std::printf("%ld events of 700 bytes, CPU s and thousands of page faults per million\n", events);
  for (long round = 0; round < rounds; ++round) {
    const Used plain = in_a_process(read_plain, log.brokers, events);
    const Used tuned = in_a_process(read_tuned, log.brokers, events);
    std::printf("  %5ld plain %6.2f %6.1f    Purgeline %6.2f %6.1f\n", round + 1,
                plain.cpu / millions, static_cast<double>(plain.faults) * 1e-3 / millions,
                tuned.cpu / millions, static_cast<double>(tuned.faults) * 1e-3 / millions);
    ratios.push_back(plain.cpu / tuned.cpu);
  }
  ::kill(log.process, SIGKILL);
  ::waitpid(log.process, nullptr, 0);
  print_row({"P14", "CPU of the intake: plain librdkafka / Purgeline", 3, median(ratios),
             Better::higher});
  return 0;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  return purgeline::bench::run(argc > 1 ? std::atol(argv[1]) : 300000,
                               argc > 2 ? std::atol(argv[2]) : 3);
}
