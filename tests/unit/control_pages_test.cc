// The admin pages as functions, and what the shard shares with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "control/admin_pages.h"
#include "control/shared_state.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct World {
  MetricsSnapshot snapshot;
  ProcessMetrics process;
  BuildInfo build{"0.1.0", "abc", "g++"};
  bool started{true};
  Duration overdue{};

  [[nodiscard]] AdminView view() const {
    return {snapshot, process, build, MetricsCompat::purged, started, overdue, seconds(5)};
  }
  [[nodiscard]] AdminResponse get(std::string_view target, std::string_view method = "GET") const {
    return admin_page({method, target}, view());
  }
};

World ready_world() {
  World world;
  world.snapshot.ready = {{"kafka", true, "3 partitions"}, {"layer backend", true, "1 of 2 up"}};
  return world;
}

TEST(AdminPages, TheAuditTellsWhatItSeesAndWhatItFound) {
  World world;
  world.snapshot.audit = AuditMetrics{};
  world.snapshot.shard.fetch_time = 30.5;
  world.snapshot.audit_ratio = AuditRatioMetrics{0.75};
  world.snapshot.audited = {{"backend", "a:1", "only-if-cached", ""},
                            {"frontend", "b:1", "", "\""}};
  AuditFinding finding;
  finding.at = finding.changed = finding.purged = finding.date = WallTime(seconds(1'769'860'800));
  finding.layer = "backend";
  finding.target = "a:1";
  finding.host = "h";
  finding.path = "/\"\x01";
  finding.stage = AuditStage::late;
  finding.attempts = 2;
  finding.age = milliseconds(61'500);
  finding.before = "first absent";
  world.snapshot.findings = std::make_shared<std::vector<AuditFinding>>(1, finding);
  world.snapshot.findings_ever = 9;
  EXPECT_EQ(world.get("/audit").body,
            R"({"on":true,"consistency_ratio":0.750000,"fetch_time":30.500,"targets":[
  {"layer":"backend","target":"a:1","looked_at":true,"how":"only-if-cached","why_not":""},
  {"layer":"frontend","target":"b:1","looked_at":false,"how":"","why_not":"\""}
],"stale":9,"newest":[
  {"time":"2026-01-31T12:00:00.000Z","url":"h/\"\u0001","layer":"backend","target":"a:1",)"
            R"("stage":"late","changed_before":"2026-01-31T12:00:00.000Z",)"
            R"("purged":"2026-01-31T12:00:00.000Z","failed_attempts":2,)"
            R"("copy_date":"2026-01-31T12:00:00.000Z","copy_age":61.500,"before":"first absent"}
]}
)");
  // The ratio is a metric of its own only when there is one.
  EXPECT_THAT(world.get("/metrics").body, HasSubstr("\npurgeline_consistency_ratio 0.75\n"));
  world.snapshot.audit_ratio.reset();
  EXPECT_THAT(world.get("/metrics").body,
              ::testing::Not(HasSubstr("\npurgeline_consistency_ratio")));
}

TEST(AdminPages, StatusAndTypeByMethodAndTarget) {
  struct Row {
    const char* method;
    const char* target;
    unsigned status;
    const char* type;
    const char* body;
  };
  const Row rows[] = {
      {"GET", "/metrics", 200, "text/plain; version=0.0.4", "# HELP "},
      {"GET", "/metrics?a=b", 200, "text/plain; version=0.0.4", "# HELP "},
      {"HEAD", "/metrics", 200, "text/plain; version=0.0.4", "# HELP "},
      {"GET", "/healthz", 200, "text/plain", "ok\n"},
      {"GET", "/readyz", 200, "application/json", "{\"ready\":true"},
      {"GET", "/rejects", 200, "application/json", "{\"refused\":0,\"newest\":[\n]}\n"},
      {"GET", "/audit", 200, "application/json", "{\"on\":false,\"consistency_ratio\":null,"},
      {"GET", "/", 200, "text/plain", "purgeline 0.1.0\n"},
      {"GET", "/metrics/", 404, "text/plain", "no such page"},
      {"GET", "", 404, "text/plain", "no such page"},
      {"GET", "//metrics", 404, "text/plain", "no such page"},
      {"GET", "http://x/metrics", 404, "text/plain", "no such page"},
      {"POST", "/metrics", 405, "text/plain", "only GET and HEAD"},
      {"PURGE", "/", 405, "text/plain", "only GET and HEAD"},
      {"get", "/", 405, "text/plain", "only GET and HEAD"},
  };
  const World world = ready_world();
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.method) + " " + row.target);
    const AdminResponse response = world.get(row.target, row.method);
    EXPECT_EQ(response.status, row.status);
    EXPECT_THAT(response.content_type, StartsWith(row.type));
    EXPECT_THAT(response.body, StartsWith(row.body));
    EXPECT_EQ(response.allow, row.status == 405 ? "GET, HEAD" : "");
  }
}

TEST(AdminPages, HealthFollowsTheLoop) {
  World world;
  struct Row {
    bool started;
    Duration overdue;
    unsigned status;
    const char* body;
  };
  const Row rows[] = {
      {false, seconds(0), 200, "ok\n"},  // starting is not being blocked
      {true, seconds(0), 200, "ok\n"},
      {true, seconds(5), 200, "ok\n"},
      {true, milliseconds(5001), 503, "the loop has not turned for 5.0 s\n"},
      {true, seconds(90), 503, "the loop has not turned for 90.0 s\n"},
  };
  for (const Row& row : rows) {
    world.started = row.started;
    world.overdue = row.overdue;
    EXPECT_EQ(world.get("/healthz").status, row.status);
    EXPECT_EQ(world.get("/healthz").body, row.body);
  }
}

TEST(AdminPages, ReadyListsEachCheck) {
  World world = ready_world();
  EXPECT_EQ(world.get("/readyz").body,
            "{\"ready\":true,\"checks\":[\n"
            "  {\"name\":\"loop\",\"ok\":true,\"detail\":\"turning\"},\n"
            "  {\"name\":\"kafka\",\"ok\":true,\"detail\":\"3 partitions\"},\n"
            "  {\"name\":\"layer backend\",\"ok\":true,\"detail\":\"1 of 2 up\"}\n]}\n");
  world.snapshot.ready[1] = {"layer backend", false, "a \"quoted\"\nreason"};
  EXPECT_EQ(world.get("/readyz").status, 503U);
  EXPECT_THAT(world.get("/readyz").body, StartsWith("{\"ready\":false"));
  EXPECT_THAT(world.get("/readyz").body,
              HasSubstr(R"("ok":false,"detail":"a \"quoted\"\u000areason")"));
}

TEST(AdminPages, RejectsAreListedAndEscaped) {
  World world = ready_world();
  const WallTime at{std::chrono::milliseconds(1'700'000'000'007)};
  const std::vector<RefusedInput> list{
      {RejectReason::not_json, {"a.b", 3}, Offset(17), at, "\x1b[31m\"{\xff", 5000},
      {RejectReason::tombstone, {"a.b", 0}, Offset(9), WallTime{}, "", 0}};
  world.snapshot.refused = std::make_shared<const std::vector<RefusedInput>>(list);
  world.snapshot.refused_ever = 70;
  EXPECT_EQ(world.get("/rejects").body,
            "{\"refused\":70,\"newest\":[\n"
            "  {\"reason\":\"not_json\",\"topic\":\"a.b\",\"partition\":3,\"offset\":17,"
            "\"time\":\"2023-11-14T22:13:20.007Z\",\"bytes\":5000,"
            "\"begins\":\"\\u001b[31m\\\"{\\\\xff\"},\n"
            "  {\"reason\":\"tombstone\",\"topic\":\"a.b\",\"partition\":0,\"offset\":9,"
            "\"time\":\"1970-01-01T00:00:00.000Z\",\"bytes\":0,\"begins\":\"\"}\n]}\n");
  EXPECT_THAT(world.get("/").body, HasSubstr("\n/rejects "));
}

TEST(AdminPages, ReadyNeedsATurningLoopAndAPublishedState) {
  World world = ready_world();
  world.overdue = seconds(6);
  EXPECT_EQ(world.get("/readyz").status, 503U);
  world = ready_world();
  world.snapshot.ready.clear();
  EXPECT_EQ(world.get("/readyz").status, 503U);
  EXPECT_THAT(world.get("/readyz").body, HasSubstr("nothing published yet"));
}

TEST(StatusLine, IsOneLineForPeople) {
  World world = ready_world();
  world.snapshot.partitions.push_back({{"t", 0}, {}});
  world.snapshot.partitions[0].metrics.lag_seconds = 0.24;
  world.snapshot.targets.push_back({"backend", "a", TargetState::up, {}});
  world.snapshot.targets.push_back({"backend", "b", TargetState::down, {}});
  EXPECT_EQ(status_line(world.view()), "ready; lag 0.2 s; 1 of 2 targets up");
  world.snapshot.ready[0] = {"kafka", false, "no broker\nREADY=1"};
  world.snapshot.ready[1].ok = false;
  EXPECT_EQ(status_line(world.view()),
            "not ready: kafka (no broker READY=1), layer backend (1 of 2 up); lag 0.2 s; "
            "1 of 2 targets up");
}

TEST(Heartbeat, AShardThatSleepsOnPurposeIsNotOverdue) {
  Heartbeat heart;
  const MonoTime start{std::chrono::hours(1)};
  EXPECT_FALSE(heart.started());
  EXPECT_EQ(heart.overdue(start), Duration::zero());
  heart.beat(start, start + seconds(10));
  EXPECT_TRUE(heart.started());
  EXPECT_EQ(heart.overdue(start + seconds(10)), Duration::zero());
  EXPECT_EQ(heart.overdue(start + seconds(13)), seconds(3));
  heart.beat(start + seconds(20), MonoTime{});  // a time to sleep until that is past
  EXPECT_EQ(heart.overdue(start + seconds(20)), Duration::zero());
  EXPECT_EQ(heart.overdue(start + seconds(21)), seconds(1));
}

TEST(SnapshotBoard, AReaderSeesOneWholeSnapshot) {
  SnapshotBoard board;
  EXPECT_EQ(board.copy().taken, MonoTime{});
  std::thread shard([&board] {
    MetricsSnapshot snapshot;
    for (std::uint64_t i = 1; i <= 2000; ++i) {
      snapshot.shard.turns = i;
      snapshot.targets.assign(i % 7, {"l", "t", TargetState::up, {}});
      snapshot.ready.assign(i % 7, {"check", true, std::to_string(i)});
      board.publish(snapshot);
    }
  });
  std::uint64_t last = 0;
  while (last < 2000) {
    const MetricsSnapshot seen = board.copy();
    EXPECT_GE(seen.shard.turns, last);
    last = seen.shard.turns;
    EXPECT_EQ(seen.targets.size(), last % 7);
    for (const ReadyCheck& check : seen.ready) EXPECT_EQ(check.detail, std::to_string(last));
  }
  shard.join();
}

}  // namespace
}  // namespace purgeline
