// Intakes: the HTTP and the HTCP intake with their sockets, as the configuration has them.
//
// Place:  made by whoever has the journal; it runs on the control thread's io_context.
// Thread: the io_context's, once it runs; the constructor and start() before. The journal's thread
//         calls back into the io_context, so it has to end before the io_context does.
// Bound:  what the intakes and the server bound.
//
// A stop goes in two steps: refuse() while what is on its way to the journal is still answered, and
// stop() once the journal has been flushed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/journal.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/purge_watch.h"
#include "purgeline/result.h"

namespace boost::asio {
class io_context;
}

namespace purgeline {

// What the intakes are given; it outlives them.
struct IntakeSeams {
  JournalWriter& journal;
  PurgeWatch* watch{nullptr};  // null: no answer has an outcome
  Clock& clock;
  Random& random;
  EventLog& log;
};

class Intakes {
 public:
  Intakes(boost::asio::io_context& context, IntakeConfig config, std::string version,
          IntakeSeams seams);
  ~Intakes();
  Intakes(const Intakes&) = delete;
  Intakes& operator=(const Intakes&) = delete;

  // Whether there is anything to take in, and so a need for a journal.
  [[nodiscard]] static bool wanted(const IntakeConfig& config);
  // Listens, or says why not: Errc::invalid for what the configuration has to mend.
  [[nodiscard]] Status start();
  // HTTP is answered 503 from now on, and HTCP is not read.
  void refuse();
  // Closes everything.
  void stop();
  void add_metrics(MetricsSnapshot& snapshot) const;
  // Where HTTP and HTCP are listened for, in the order of the configuration, groups last.
  [[nodiscard]] std::vector<std::string> http_addresses() const;
  [[nodiscard]] std::vector<std::string> htcp_addresses() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace purgeline
