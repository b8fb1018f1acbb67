// HTTP/1.1 of freshness_bench: a pool of connections to one server, and the slow origin.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "freshness_loop.h"
#include "freshness_world.h"

namespace purgeline::bench {

struct HttpAnswer {
  int status;  // 0: the connection ended instead, three times
  std::string_view body;
};
using OnAnswer = std::function<void(const HttpAnswer&)>;

// One request at a time on each connection; what finds all of them busy waits in line.
class HttpPool {
 public:
  HttpPool(Loop& loop, std::string address, std::size_t limit);
  ~HttpPool();
  void send(std::string request, OnAnswer done);

 private:
  class Connection;
  struct Request {
    std::string text;
    OnAnswer done;
  };
  void freed(Connection& connection);

  Loop& loop_;
  std::string address_;
  std::size_t limit_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;
  std::deque<Request> waiting_;
};

// How long fetches take and how late the origin shows an edit: most are quick, none takes longer
// than the longest.
class Delays {
 public:
  Delays(Micros longest_lag, Micros longest_fetch, std::uint64_t seed);
  Micros lag();
  Micros fetch();

 private:
  double exponential(double mean, double longest);

  double longest_lag_;
  double longest_fetch_;
  std::mt19937_64 random_;
};

// Answers `GET /p/N` with the version that was shown when the request was read, after a while.
class Origin : public Watcher {
 public:
  Origin(Loop& loop, const std::string& address, World& world, Delays& delays);
  ~Origin() override;
  void on_ready() override;

 private:
  class Connection;

  Loop& loop_;
  World& world_;
  Delays& delays_;
  int listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

std::string page_path(std::uint32_t page);

}  // namespace purgeline::bench
