// How fast the journal takes events, beside what its disk can sync.
//
// 1, 8 and 64 clients in a closed loop (each appends again once its last event is on disk), then a
// reader that follows from the first event of the 64. Usage: journal_bench FOLDER [EVENTS]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "io/system_clock.h"
#include "purgeline/check.h"
#include "store/journal.h"
#include "store/journal_reader.h"
#include "usage.h"

namespace purgeline {
namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point begun) {
  return std::chrono::duration<double>(Steady::now() - begun).count();
}

// One client that overwrites and syncs one block: what a commit costs at the least.
double syncs_per_second(const std::string& folder) {
  const std::string path = folder + "/sync.probe";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(fd >= 0);
  const std::string block(4096, 'x');
  const Steady::time_point begun = Steady::now();
  int syncs = 0;
  for (; seconds_since(begun) < 2; ++syncs) {
    CHECK(::pwrite(fd, block.data(), block.size(), 0) == static_cast<ssize_t>(block.size()));
    CHECK(::fdatasync(fd) == 0);
  }
  ::close(fd);
  ::unlink(path.c_str());
  return syncs / 2.0;
}

std::string value_of(std::uint64_t number) {
  return R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://en.example.org/wiki/Page_)" +
         std::to_string(number) +
         R"(","id":"5a4e9fd8-d4a1-4b1f-8f9c-2a1b2c3d4e5f","dt":"2026-01-01T00:00:00Z",)"
         R"("stream":"resource-purge","domain":"en.example.org"},"tags":["mediawiki"]})";
}

class Clients {
 public:
  Clients(Journal& journal, std::uint64_t events) : journal_(journal), left_(events) {
    latencies_.reserve(events);
  }
  void run(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) next();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return active_ == 0 && left_ == 0; });
  }
  [[nodiscard]] double percentile(double share) {
    std::sort(latencies_.begin(), latencies_.end());
    return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))];
  }

 private:
  void next() {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      if (left_ == 0) return;
      number = left_--;
      ++active_;
    }
    const Steady::time_point begun = Steady::now();
    const bool taken = journal_.append({{"resource-purge", "", value_of(number), clock_.wall()}},
                                       [this, begun](const Result<std::vector<Offset>>& offsets) {
                                         CHECK(offsets.has_value());
                                         const double took = seconds_since(begun);
                                         next();
                                         const std::lock_guard lock(mutex_);
                                         latencies_.push_back(took);
                                         if (--active_ == 0) ended_.notify_one();
                                       });
    CHECK(taken);
  }

  Journal& journal_;
  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::uint64_t left_;
  std::size_t active_{0};
  std::vector<double> latencies_;
};

// Reads all pages and prints the rate of each tenth.
void read_all(const std::string& path, std::uint64_t events) {
  JournalReader reader(path, -1);
  Offset from(0);
  std::uint64_t tenth = events / 10;
  Steady::time_point begun = Steady::now();
  std::uint64_t in_tenth = 0;
  std::printf("reader, events/s in each tenth:");
  for (bool more = true; more;) {
    CHECK(reader.ask(JournalReader::ReadPage{"resource-purge", from}, [&](auto answer) {
      CHECK(answer.has_value());
      const auto rows = std::get<JournalPage>(*answer).rows.size();
      from = Offset(from.value() + static_cast<std::int64_t>(rows));
      in_tenth += rows;
      more = rows > 0;
    }));
    reader.wait();
    if (in_tenth < tenth) continue;
    std::printf(" %.0f", static_cast<double>(in_tenth) / seconds_since(begun));
    in_tenth = 0;
    begun = Steady::now();
  }
  std::printf("\n");
  CHECK(from.value() == static_cast<std::int64_t>(events));
}

void remove_journal(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
}

// A fresh journal that so many clients fill. `syncs` a second are what one client could have.
void append_with(std::size_t count, const std::string& path, std::uint64_t events, double syncs) {
  remove_journal(path);
  SystemClock clock;
  auto journal = Journal::open(path, clock).value();
  journal->start();
  Clients clients(*journal, events);
  const double cpu = bench::own_cpu();
  const Steady::time_point begun = Steady::now();
  clients.run(count);
  const double rate = static_cast<double>(events) / seconds_since(begun);
  const double per_event = (bench::own_cpu() - cpu) / static_cast<double>(events);
  const JournalMetrics metrics = journal->metrics();
  std::printf("%7zu %9.0f %7.1f %9.1f %9.2f %9.2f %9.2f %9.2f %8.1f\n", count, rate, rate / syncs,
              static_cast<double>(events) / static_cast<double>(metrics.commit.total()),
              1e3 * clients.percentile(.5), 1e3 * clients.percentile(.99),
              1e3 * clients.percentile(.999), 1e3 * clients.percentile(1), 1e6 * per_event);
}

int run(const std::string& folder, std::uint64_t events) {
  const double syncs = syncs_per_second(folder);
  const std::string path = folder + "/journal.db";
  std::printf("bare fdatasync, one client: %.0f/s\n", syncs);
  std::printf("%7s %9s %7s %9s %9s %9s %9s %9s %8s\n", "clients", "events/s", "x bare", "a commit",
              "p50 ms", "p99 ms", "p99.9 ms", "max ms", "CPU us");
  // As many as take some seconds, where each waits for a sync of its own.
  const auto few = static_cast<std::uint64_t>(std::max(1000.0, 5 * syncs));
  append_with(1, path, std::min(events, few), syncs);
  append_with(8, path, std::min(events, 4 * few), syncs);
  append_with(64, path, events, syncs);
  read_all(path, events);
  remove_journal(path);
  return 0;
}

}  // namespace
}  // namespace purgeline

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: journal_bench FOLDER [EVENTS]\n");
    return 2;
  }
  return purgeline::run(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000);
}
