// RealBroker: an Apache Kafka of one node, for tests, on free loopback ports and in a folder of its
// own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace purgeline::contract {

// Thread: the test's main thread, because the broker dies with the thread that started it. Throws
// when the broker cannot be started: no test passes for want of a server.
class RealBroker {
 public:
  // Finds the jars in ${PURGELINE_CACHE:-$HOME/.cache/purgeline}/kafka-4.3.1 and starts.
  RealBroker();
  RealBroker(const RealBroker&) = delete;
  RealBroker& operator=(const RealBroker&) = delete;
  ~RealBroker();  // leaves neither process nor file

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] const std::string& cluster() const { return cluster_; }

  void freeze();  // SIGSTOP
  void thaw();    // SIGCONT
  void kill();    // SIGKILL; its data stay
  void start();   // with the same address and data

 private:
  void configure();
  [[nodiscard]] pid_t spawn(const std::string& main, const std::string& arguments);
  [[nodiscard]] bool answers() const;

  std::filesystem::path folder_;
  std::string classes_;
  std::string cluster_{"cHVyZ2VsaW5lLXRlc3RzMQ"};
  std::uint16_t port_{0};
  std::uint16_t controller_port_{0};
  pid_t process_{0};
};

}  // namespace purgeline::contract
