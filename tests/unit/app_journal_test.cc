// The daemon's shard on a journal: what is appended is purged, and its position is kept.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "app/log_seams.h"
#include "app/shard.h"
#include "control/config_load.h"
#include "io/system_clock.h"
#include "store/journal_outbox.h"
#include "unit/store_journal_support.h"

namespace purgeline {
namespace {

using store_test::Folder;
using store_test::OpenJournal;

// A cache that answers 200 to whatever it is asked, one connection at a time.
class Cache {
 public:
  Cache() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener_, generic, sizeof address) == 0 && ::listen(listener_, 16) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(listener_, generic, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  ~Cache() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::multiset<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void serve() {
    for (int link = 0; (link = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      std::string text;
      std::array<char, 4096> bytes{};
      for (ssize_t n = 0; (n = ::read(link, bytes.data(), bytes.size())) > 0;) {
        text.append(bytes.data(), static_cast<std::size_t>(n));
        answer(link, text);
      }
      ::close(link);
    }
  }
  void answer(int link, std::string& text) {
    constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (std::size_t end = 0; (end = text.find("\r\n\r\n")) != std::string::npos;) {
      {
        const std::lock_guard lock(mutex_);
        asked_.insert(text.substr(0, text.find("\r\n")));
      }
      text.erase(0, end + 4);
      CHECK(::send(link, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) > 0);
    }
  }

  int listener_;
  std::uint16_t port_{0};
  mutable std::mutex mutex_;
  std::multiset<std::string> asked_;
  std::thread thread_;
};

Config config_for(const Cache& cache, const std::string& folder) {
  const std::pair<std::string, std::string> text{
      "test.yaml", "state_dir: " + folder +
                       "\nlog: {journal: {}}\n"
                       "purge: {fence: off, layers: [{name: one, connections: 1, targets: ['"
                       "127.0.0.1:" +
                       std::to_string(cache.port()) + "']}]}\n"};
  ConfigResult result = load_config_texts({&text, 1}, {});
  EXPECT_TRUE(result.config) << format_errors(result.errors);
  return *result.config;
}

Append purge_of(const std::string& page, WallTime now) {
  return {"resource-purge", "", R"({"meta":{"uri":"http://en.example.org/wiki/)" + page + "\"}}",
          now};
}

TEST(ShardOnAJournal, WhatIsAppendedIsPurgedAndNotReadAgain) {
  const Folder folder;
  Cache cache;
  const Config config = config_for(cache, folder.path());
  const std::string path = folder.path("journal.db");
  JournalOptions options = store_test::quick_options();
  options.topics = {"resource-purge"};
  OpenJournal journal(path, options);
  SystemClock store_clock;
  LogOutput log({.level = LogLevel::error});
  for (int start = 0; start < 2; ++start) {
    auto store = StoreThread::open(folder.path("state.db"), store_clock).value();
    SnapshotBoard board;
    Heartbeat heartbeat;
    Shard shard(config, *store, log, board, heartbeat);
    shard.set_journal(&*journal);
    ASSERT_TRUE(shard.start().has_value());
    for (int i = 0; i < 50; ++i) {
      const std::string page = std::to_string(start) + "-" + std::to_string(i);
      ASSERT_TRUE(journal.append(1, purge_of(page, journal.now())));
    }
    for (int i = 0; i < 50; ++i) {
      const std::string line =
          "PURGE /wiki/" + std::to_string(start) + "-" + std::to_string(i) + " HTTP/1.1";
      journal.until([&] { return cache.asked().count(line) > 0; });
    }
    shard.stop();
    EXPECT_TRUE(shard.wait()) << "everything was committed";
  }
  EXPECT_EQ(cache.asked().count("PURGE /wiki/0-0 HTTP/1.1"), 1u) << "not read again";
  JournalReader reader(path, -1);
  std::optional<Position> position;
  ASSERT_TRUE(reader.ask(JournalReader::LoadPosition{"purge", "resource-purge"}, [&](auto answer) {
    position = std::get<std::optional<Position>>(answer.value());
  }));
  reader.wait();
  ASSERT_TRUE(position);
  EXPECT_EQ(position->offset, Offset(100));
  EXPECT_EQ(position->cluster, journal->id());
}

// The pages of the file, but for the first, which every reader looks at; put back at the end.
class Damage {
 public:
  explicit Damage(std::string path) : path_(std::move(path)) {
    std::ifstream file(path_, std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(file), {});
    write(whole_.substr(0, kPage) + std::string(whole_.size() - kPage, '\xAA'));
  }
  Damage(const Damage&) = delete;
  Damage& operator=(const Damage&) = delete;
  ~Damage() { write(whole_); }

 private:
  static constexpr std::size_t kPage = 4096;
  void write(const std::string& bytes) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    CHECK(file.flush().good());
  }
  const std::string path_;
  std::string whole_;
};

// The writer's connection has the pages that it writes to, and could acknowledge for hours what
// nobody will ever read.
TEST(ShardOnAJournal, OneThatIsDamagedTakesNothingUntilItIsMended) {
  const Folder folder;
  Cache cache;
  const Config config = config_for(cache, folder.path());
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(journal.append(100, purge_of(std::to_string(i), journal.now())));
  }
  journal.until([&] { return journal->metrics().wal_bytes == 0; });
  SystemClock store_clock;
  LogOutput log({.level = LogLevel::error});
  auto store = StoreThread::open(folder.path("state.db"), store_clock).value();
  SnapshotBoard board;
  Heartbeat heartbeat;
  Shard shard(config, *store, log, board, heartbeat);
  shard.set_journal(&*journal);
  JournalOutbox outbox(*journal);
  struct : OutboxVisitor {
    bool on_event(const OutboxEvent&) override { return true; }
  } visitor;
  {
    const Damage damage(path);
    ASSERT_TRUE(shard.start().has_value());
    journal.until([&] { return !journal->trouble().empty(); });
    EXPECT_NE(journal->trouble().find("the journal is damaged: "), std::string::npos)
        << journal->trouble();
    EXPECT_FALSE(outbox.read("resource-purge", Offset(0), visitor));
    EXPECT_FALSE(journal.append(1, purge_of("more", journal.now())));
    EXPECT_EQ(journal->metrics().trouble, 1);
  }
  EXPECT_TRUE(outbox.read("resource-purge", Offset(0), visitor));
  journal.until([&] { return journal->trouble().empty(); });
  EXPECT_TRUE(journal.append(1, purge_of("more", journal.now())));
  journal.until([&] { return cache.asked().count("PURGE /wiki/more HTTP/1.1") > 0; });
  shard.stop();
  EXPECT_TRUE(shard.wait());
}

struct Lines final : EventLog {
  std::vector<std::string> lines;
  void write(LogLevel level, std::string_view event, LogFields fields) override {
    lines.push_back((level == LogLevel::error ? "error " : "info ") + std::string(event) + " " +
                    fields.begin()->second);
  }
};

TEST(JournalWatch, TellsOnceWhenAppendsAreRefusedAndWhenThatIsOver) {
  const Folder folder;
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path);
  Lines log;
  JournalWatch watch(&*journal, log);
  const auto ready = [&watch] {
    MetricsSnapshot snapshot;
    watch.add_to(snapshot);
    EXPECT_TRUE(snapshot.journal.has_value());
    EXPECT_EQ(snapshot.ready.at(0).name, "journal");
    return snapshot.ready.at(0);
  };
  EXPECT_TRUE(ready().ok);
  {
    Database person = Database::open(path).value();
    ASSERT_TRUE(person.run("BEGIN IMMEDIATE"));
    EXPECT_FALSE(journal.append(1, purge_of("a", journal.now())));
    for (int looks = 0; looks < 3; ++looks) {
      EXPECT_FALSE(ready().ok);
      EXPECT_NE(ready().detail.find("locked"), std::string::npos) << ready().detail;
    }
  }
  journal.until([&] { return ready().ok; });
  EXPECT_EQ(log.lines, (std::vector<std::string>{"error journal refuses events begins",
                                                 "info journal refuses events over"}));
}

}  // namespace
}  // namespace purgeline
