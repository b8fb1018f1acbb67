// Who purges in freshness_bench: a relay as sites run it today, or Purgeline, which is posted
// events.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "freshness_http.h"

namespace purgeline::bench {

class Purger {
 public:
  virtual ~Purger() = default;
  virtual void purge(std::uint32_t page) = 0;
  [[nodiscard]] virtual std::uint64_t sent() const = 0;
  [[nodiscard]] virtual std::uint64_t failed() const = 0;
  // From when it was asked for until the last cache had answered, without the delay; or until it
  // was taken, of a purger whose caches' answers are not seen here.
  [[nodiscard]] virtual Micros longest() const = 0;
};

// Purges the backend, and the frontend when the backend has answered and the delay has passed. Each
// event costs two purges, and nothing is purged again.
class Relay : public Purger {
 public:
  Relay(Loop& loop, const std::string& backend, const std::string& frontend, Micros delay);
  void purge(std::uint32_t page) override;
  [[nodiscard]] std::uint64_t sent() const override { return sent_; }
  [[nodiscard]] std::uint64_t failed() const override { return failed_; }
  [[nodiscard]] Micros longest() const override { return longest_; }

 private:
  void note(const HttpAnswer& answer);

  Loop& loop_;
  HttpPool backend_;
  HttpPool frontend_;
  Micros delay_;
  std::uint64_t sent_{0};
  std::uint64_t failed_{0};
  Micros longest_{0};
};

// Posts events to Purgeline's intake; those of the time of one request go together with the next.
class Poster : public Purger {
 public:
  Poster(Loop& loop, const std::string& intake);
  void purge(std::uint32_t page) override;
  [[nodiscard]] std::uint64_t sent() const override { return 0; }  // its own metrics say so
  [[nodiscard]] std::uint64_t failed() const override { return failed_; }
  [[nodiscard]] Micros longest() const override { return longest_; }

 private:
  struct Asked {
    std::uint32_t page;
    Moment when;
  };
  void post();

  HttpPool intake_;
  std::deque<Asked> waiting_;
  bool posting_{false};
  std::uint64_t failed_{0};
  Micros longest_{0};
};

}  // namespace purgeline::bench
