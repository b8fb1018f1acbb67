#include "mock_log.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

std::string event(long number) {
  char text[512];
  std::snprintf(
      text, sizeof text,
      R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/)"
      R"(A_page_of_the_benchmark_%ld","request_id":"5f6b0c1e-7f0e-4a53-9a5b-0d7c9f2f9b11",)"
      R"("id":"1a6f5d1c-7d4e-4a35-8a0b-%012ld","dt":"2026-08-21T13:56:20.417Z",)"
      R"("domain":"en.wikipedia.org","stream":"resource-purge"},"tags":["mediawiki"]})",
      number, number);
  return text;
}

[[noreturn]] void serve(int pipe, long events, int partitions) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof error);
  rd_kafka_conf_set(conf, "linger.ms", "20", error, sizeof error);
  rd_kafka_conf_set(conf, "queue.buffering.max.messages", "1000000", error, sizeof error);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  CHECK(producer != nullptr);
  rd_kafka_mock_cluster_t* cluster = rd_kafka_handle_mock_cluster(producer);
  CHECK(rd_kafka_mock_topic_create(cluster, "purge", partitions, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(producer, "purge", nullptr);
  CHECK(topic != nullptr);
  for (long i = 0; i < events; ++i) {
    const std::string value = event(i);
    const auto partition = static_cast<std::int32_t>(i % partitions);
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                            value.size(), nullptr, 0, nullptr) != 0) {
      CHECK(rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL);
      rd_kafka_poll(producer, 10);
    }
  }
  CHECK(rd_kafka_flush(producer, 120000) == RD_KAFKA_RESP_ERR_NO_ERROR);
  const std::string brokers = rd_kafka_mock_cluster_bootstraps(cluster);
  CHECK(::write(pipe, brokers.data(), brokers.size()) == static_cast<ssize_t>(brokers.size()));
  ::close(pipe);
  for (;;) ::pause();
}

}  // namespace

MockLog start_mock_log(long events, int partitions) {
  int pipe[2];
  CHECK(::pipe(pipe) == 0);
  MockLog log{::fork(), ""};
  CHECK(log.process >= 0);
  if (log.process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(pipe[0]);
    serve(pipe[1], events, partitions);
  }
  ::close(pipe[1]);
  char text[512];
  for (ssize_t got = 0; (got = ::read(pipe[0], text, sizeof text)) > 0;) {
    log.brokers.append(text, static_cast<std::size_t>(got));
  }
  ::close(pipe[0]);
  CHECK(!log.brokers.empty());
  return log;
}

}  // namespace purgeline::bench
