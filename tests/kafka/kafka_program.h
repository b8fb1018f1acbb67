// KafkaProgram: a Kafka connection and the little of a shard's loop that it needs.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kafka/test_clock.h"
#include "kafka/world.h"
#include "sources/kafka_connection.h"

namespace purgeline::contract {

// Place: tests of the Kafka source. Thread: the test's.
class KafkaProgram {
 public:
  KafkaProgram(KafkaOptions options, Heard& heard)
      : wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    options.log = [this](int level, std::string line) {
      lines.push_back(std::to_string(level) + " " + std::move(line));
    };
    auto made = KafkaConnection::make(std::move(options), wake_fd_, clock);
    if (!made) {
      ::close(wake_fd_);
      throw std::runtime_error(made.error().detail);
    }
    connection = std::move(*made);
    connection->source().start(heard);
    connection->offsets().start(heard);
  }
  KafkaProgram(const KafkaProgram&) = delete;
  KafkaProgram& operator=(const KafkaProgram&) = delete;
  ~KafkaProgram() {
    connection.reset();
    ::close(wake_fd_);
  }

  void turn() {
    pollfd waiting{wake_fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 10) > 0) {
      std::uint64_t count = 0;
      if (::read(wake_fd_, &count, sizeof count) == sizeof count) ++wakes;
    }
    clock.refresh();
    connection->source().poll();
    connection->offsets().poll();
  }

  TestClock clock;
  std::vector<std::string> lines;  // what was logged
  std::size_t wakes{0};
  std::unique_ptr<KafkaConnection> connection;

 private:
  int wake_fd_;
};

}  // namespace purgeline::contract
