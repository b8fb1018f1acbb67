#include "mock_log.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

// The name of a page that is due at this moment of the monotonic clock.
std::string due_page(const timespec& due) {
  return "At_" + std::to_string(due.tv_sec * 1'000'000'000 + due.tv_nsec);
}

std::string event(const std::string& page, long number, std::size_t size) {
  char text[512];
  std::snprintf(
      text, sizeof text,
      R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/)"
      R"(%s","request_id":"5f6b0c1e-7f0e-4a53-9a5b-0d7c9f2f9b11",)"
      R"("id":"1a6f5d1c-7d4e-4a35-8a0b-%012ld","dt":"2026-08-21T13:56:20.417Z",)"
      R"("domain":"en.wikipedia.org","stream":"resource-purge"},"tags":["mediawiki"])",
      page.c_str(), number);
  std::string json = text;
  if (json.size() + 12 < size) {
    json += R"(,"comment":")" + std::string(size - json.size() - 14, 'x') + '"';
  }
  return json + '}';
}

struct Order {
  long rate;
  long seconds;
};

class Producer {
 public:
  Producer(rd_kafka_t* client, int partitions, long each)
      : client_(client),
        topic_(rd_kafka_topic_new(client, "purge", nullptr)),
        partitions_(partitions),
        each_(each) {
    CHECK(topic_ != nullptr);
  }
  void put(const std::string& page, std::size_t size) {
    const std::string value = event(page, number_, size);
    const auto partition = static_cast<std::int32_t>(number_++ / each_ % partitions_);
    while (rd_kafka_produce(topic_, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                            value.size(), nullptr, 0, nullptr) != 0) {
      CHECK(rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL);
      rd_kafka_poll(client_, 10);
    }
  }
  void flush() { CHECK(rd_kafka_flush(client_, 120000) == RD_KAFKA_RESP_ERR_NO_ERROR); }
  // Open loop: each event at its own time, late ones as soon as possible.
  void pace(const Order& order) {
    timespec due{};
    CHECK(::clock_gettime(CLOCK_MONOTONIC, &due) == 0);
    for (long i = 0; i < order.rate * order.seconds; ++i) {
      ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
      put(due_page(due), 0);
      rd_kafka_poll(client_, 0);
      due.tv_nsec += 1'000'000'000 / order.rate;
      if (due.tv_nsec < 1'000'000'000) continue;
      due.tv_nsec -= 1'000'000'000;
      ++due.tv_sec;
    }
  }

 private:
  rd_kafka_t* client_;
  rd_kafka_topic_t* topic_;
  int partitions_;
  long each_;
  long number_{0};
};

[[noreturn]] void serve(int answer, int orders, const LogPlan& plan) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof error);
  rd_kafka_conf_set(conf, "linger.ms", plan.events > 0 ? "20" : "5", error, sizeof error);
  rd_kafka_conf_set(conf, "queue.buffering.max.messages", "1000000", error, sizeof error);
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  CHECK(client != nullptr);
  rd_kafka_mock_cluster_t* cluster = rd_kafka_handle_mock_cluster(client);
  CHECK(rd_kafka_mock_topic_create(cluster, "purge", plan.partitions, 1) ==
        RD_KAFKA_RESP_ERR_NO_ERROR);
  Producer producer(client, plan.partitions, plan.each);
  for (long i = 0; i < plan.events; ++i) {
    producer.put("A_page_of_the_benchmark_" + std::to_string(i / plan.each), plan.size);
  }
  producer.flush();
  const std::string brokers = rd_kafka_mock_cluster_bootstraps(cluster);
  CHECK(::write(answer, brokers.data(), brokers.size()) == static_cast<ssize_t>(brokers.size()));
  ::close(answer);
  for (Order order{}; ::read(orders, &order, sizeof order) == sizeof order;) producer.pace(order);
  for (;;) ::pause();
}

}  // namespace

MockLog start_mock_log(const LogPlan& plan) {
  int answer[2];
  int orders[2];
  CHECK(::pipe(answer) == 0 && ::pipe(orders) == 0);
  MockLog log{::fork(), "", orders[1]};
  CHECK(log.process >= 0);
  if (log.process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(answer[0]);
    ::close(orders[1]);
    serve(answer[1], orders[0], plan);
  }
  ::close(answer[1]);
  ::close(orders[0]);
  char text[512];
  for (ssize_t got = 0; (got = ::read(answer[0], text, sizeof text)) > 0;) {
    log.brokers.append(text, static_cast<std::size_t>(got));
  }
  ::close(answer[0]);
  CHECK(!log.brokers.empty());
  return log;
}

void produce(const MockLog& log, long rate, long seconds) {
  const Order order{rate, seconds};
  CHECK(::write(log.orders, &order, sizeof order) == sizeof order);
}

}  // namespace purgeline::bench
