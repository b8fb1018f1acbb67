// The audit of a pipeline: from a good answer to what is purged again, on a scripted cache.
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "app/audit.h"
#include "unit/dispatch_support.h"

namespace purgeline {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr TargetId kBackend{0};
constexpr TargetId kFrontend{1};
constexpr TargetMask kBoth = 3;

TEST(AuditStamp, KeepsAVersionToAHundredthAndNeverMakesItLater) {
  const MonoTime now{hours(24 * 300) + milliseconds(1234567)};
  for (const Duration ago : {Duration(0), Duration(1), Duration(milliseconds(9)),
                             Duration(seconds(3)), Duration(hours(24 * 299))}) {
    const MonoTime version = now - ago;
    const MonoTime back = stamped_version(version_stamp(version), now);
    EXPECT_LE(back, version);
    EXPECT_GT(back, version - milliseconds(10));
  }
  const MonoTime before_boot{-hours(5)};
  EXPECT_LE(stamped_version(version_stamp(before_boot), MonoTime{minutes(1)}), before_boot);
}

class Lines : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields fields) override {
    std::string line(event);
    for (const auto& [name, value] : fields) {
      if (name == "target" || name == "url" || name == "stage") line += " " + value;
    }
    lines.push_back(line);
  }
  std::vector<std::string> lines;
};

LayerConfig layer(const std::string& name, std::uint16_t port) {
  LayerConfig layer;
  layer.name = name;
  layer.targets = {test::endpoint("127.0.0.1", port)};
  layer.connections = 1;
  layer.depth = 1;
  layer.connect_timeout = seconds(2);
  layer.request_timeout = seconds(10);
  layer.max_attempts = 10;
  return layer;
}

PurgeConfig config(std::uint32_t sample = 1'000'000) {
  PurgeConfig config;
  config.layers = {layer("backend", 1), layer("frontend", 2)};
  config.audit.sample = Share{sample};
  config.audit.budget = 100;
  config.audit.window = minutes(5);
  return config;
}

class AppAuditTest : public ::testing::Test {
 protected:
  void purged(const std::string& path, TargetId target = kBackend, std::uint32_t attempts = 0) {
    Outcome outcome;
    outcome.result = AttemptResult::purged;
    outcome.attempts = static_cast<std::uint16_t>(attempts);
    ASSERT_TRUE(audit_.wants(outcome));
    audit_.on_purged(target, {"h", path, ""}, clock_.now(), attempts);
  }
  void turn(TargetMask may_look = kBoth) {
    audit_.turn(++purges_ * 100, may_look);
    for (std::size_t i = 0; i < transport_.links.size(); ++i) transport_.sent(i);
    transport_.drain_closes();
  }
  void after(Duration passed, TargetMask may_look = kBoth) {
    clock_.advance(passed);
    turn(may_look);
  }
  // Connects the newest link and lets it be a Varnish with the shipped VCL.
  void connect() {
    transport_.opened(transport_.links.size() - 1);
    turn();
    answer("HTTP/1.1 504 x\r\nX-Purgeline-Audit: absent\r\nContent-Length: 0\r\n\r\n");
    turn();
  }
  void answer(const std::string& text) {
    transport_.bytes(transport_.links.size() - 1, text);
    turn();
  }
  [[nodiscard]] std::string copy(Duration ago) const {
    const std::time_t made = (clock_.wall() - ago).time_since_epoch() / seconds(1);
    std::tm parts{};
    gmtime_r(&made, &parts);
    char date[64];
    std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return "HTTP/1.1 200 x\r\nX-Purgeline-Audit: copy\r\nContent-Length: 0\r\nDate: " +
           std::string(date) + "\r\nAge: " + std::to_string(ago / seconds(1)) + "\r\n\r\n";
  }
  MetricsSnapshot snapshot() {
    MetricsSnapshot out;
    audit_.snapshot(out);
    return out;
  }
  static std::uint64_t looks(const MetricsSnapshot& out, AuditVerdict verdict) {
    std::uint64_t sum = 0;
    for (const auto& row : out.audit_stages) {
      sum += row.metrics.looks[static_cast<std::size_t>(verdict)];
    }
    return sum;
  }

  test::FakeClock clock_;
  test::FakeRandom random_;
  test::FakeTransport transport_;
  test::FakeResolver resolver_;
  Lines log_;
  TargetTable table_{config().layers};
  Audit audit_{config(), table_, transport_, resolver_, clock_, random_, log_};
  std::uint64_t purges_{0};
};

TEST_F(AppAuditTest, AStaleCopyIsCountedKeptToldAndPurgedAgain) {
  EXPECT_FALSE(snapshot().audit_ratio) << "nothing was sampled";
  purged("/a", kFrontend, 2);
  EXPECT_EQ(audit_.next_due(), clock_.now() + seconds(1)) << "storms of purges cost no turns";
  turn();
  EXPECT_EQ(audit_.next_due(), clock_.now() + seconds(1));
  EXPECT_TRUE(transport_.links.empty()) << "not before it is due";
  after(seconds(1));
  ASSERT_EQ(transport_.links.size(), 1u);
  EXPECT_EQ(transport_.links[0].address.port, 2);
  connect();
  answer(copy(minutes(1)));
  const auto again = audit_.take_again();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->host + again->path, "h/a");
  EXPECT_FALSE(audit_.take_again());
  EXPECT_EQ(log_.lines, std::vector<std::string>{"stale copy h/a 127.0.0.1:2 first"});
  const MetricsSnapshot out = snapshot();
  ASSERT_TRUE(out.findings && out.findings->size() == 1);
  EXPECT_EQ(out.findings_ever, 1u);
  const AuditFinding& finding = out.findings->front();
  EXPECT_EQ(finding.layer, "frontend");
  EXPECT_EQ(finding.target, "127.0.0.1:2");
  EXPECT_EQ(finding.attempts, 2u);
  ASSERT_TRUE(out.audit && out.audit_ratio);
  EXPECT_EQ(out.audit_ratio->ratio, 0);
  EXPECT_EQ(out.audit->purged_again, 1u);
  ASSERT_EQ(out.audit_stages.size(), 6u) << "every layer and stage, with zeros";
  for (const auto& row : out.audit_stages) {
    const bool here = row.layer == "frontend" && row.stage == AuditStage::first;
    EXPECT_EQ(row.metrics.stale, here ? 1u : 0u);
  }
  ASSERT_EQ(out.audited.size(), 2u);
  EXPECT_EQ(out.audited[1].how, "shipped VCL");
  EXPECT_EQ(out.audited[0].how, "");
}

// A copy that outlived its fence: the next fences wait for longer, and less so by and by.
TEST_F(AppAuditTest, AFetchThatOutlivedItsFenceRaisesTheFetchTimeUntilItIsCalm) {
  PurgeConfig fenced = config();
  fenced.fence = {seconds(10), seconds(1), seconds(1), 1000, seconds(60)};
  audit_.change(fenced);
  EXPECT_EQ(audit_.fetch_time(), Duration(seconds(10)));
  purged("/a");
  after(seconds(1));
  connect();
  answer("HTTP/1.1 504 x\r\nX-Purgeline-Audit: absent\r\nContent-Length: 0\r\n\r\n");
  after(seconds(12));
  EXPECT_FALSE(audit_.take_fetch_time_change());
  answer(copy(seconds(22)));
  EXPECT_TRUE(audit_.take_fetch_time_change());
  EXPECT_FALSE(audit_.take_fetch_time_change()) << "told once";
  // Made 9 s before v, and not there before v + 11 s.
  EXPECT_EQ(audit_.fetch_time(), Duration(seconds(30)));
  const std::vector<std::string> lines{"stale copy h/a 127.0.0.1:1 fence", "fetch time raised h/a"};
  EXPECT_EQ(log_.lines, lines);
  audit_.change(fenced);
  EXPECT_EQ(audit_.fetch_time(), Duration(seconds(30))) << "a reload forgets nothing";
  const MonoTime raised = clock_.now();
  after(seconds(60));
  answer("HTTP/1.1 504 x\r\nX-Purgeline-Audit: absent\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(snapshot().audit->open, 0);
  EXPECT_EQ(audit_.next_due(), raised + minutes(60)) << "the loop wakes up for it";
  after(minutes(60));
  EXPECT_TRUE(audit_.take_fetch_time_change());
  EXPECT_EQ(audit_.fetch_time(), Duration(seconds(20)));
  EXPECT_EQ(log_.lines.back(), "fetch time lowered");
}

TEST_F(AppAuditTest, FindingsAndWhatIsPurgedAgainAreBounded) {
  for (int i = 0; i < 100; ++i) purged("/" + std::to_string(i));
  after(seconds(1));
  connect();
  for (int i = 0; i < 100; ++i) answer(copy(minutes(1)));
  const MetricsSnapshot out = snapshot();
  EXPECT_EQ(out.findings_ever, 100u);
  EXPECT_EQ(out.findings->size(), audit::Auditor::kMostFindings);
  EXPECT_EQ(out.findings->front().path, "/99");
  std::size_t again = 0;
  while (audit_.take_again()) ++again;
  EXPECT_EQ(again, Audit::kMostAgain);
}

TEST_F(AppAuditTest, ACacheThatCannotBeLookedIntoIsToldOnceAndTriedAgainLater) {
  purged("/a");
  after(seconds(1));
  transport_.opened(0);
  turn();
  answer("HTTP/1.1 204 Purged\r\nX-Varnish: 1\r\n\r\n");
  turn();
  EXPECT_EQ(log_.lines, std::vector<std::string>{"audit blind 127.0.0.1:1"});
  MetricsSnapshot out = snapshot();
  EXPECT_NE(out.audited[0].blind.find("conf/purge.vcl"), std::string::npos);
  EXPECT_TRUE(out.audited[1].blind.empty());
  EXPECT_EQ(out.audit->blind, 1);
  purged("/b");
  EXPECT_EQ(snapshot().audit->sampled, 1u) << "nothing of it is sampled meanwhile";
  after(seconds(10));
  EXPECT_EQ(looks(snapshot(), AuditVerdict::skipped), 1u);
  EXPECT_EQ(transport_.links.size(), 1u);
  after(minutes(1));
  purged("/c");
  after(seconds(1));
  ASSERT_EQ(transport_.links.size(), 2u);
  transport_.opened(1);
  turn();
  answer("HTTP/1.1 204 Purged\r\nX-Varnish: 1\r\n\r\n");
  EXPECT_EQ(log_.lines.size(), 1u) << "the same reason is told once";
  after(minutes(1) + seconds(1));
  purged("/d");
  after(seconds(1));
  connect();
  answer(copy(milliseconds(0)));
  EXPECT_EQ(log_.lines.back(), "audit sees again 127.0.0.1:1");
  EXPECT_EQ(snapshot().audit->blind, 0);
  EXPECT_EQ(looks(snapshot(), AuditVerdict::fresh), 1u);
}

TEST_F(AppAuditTest, ATargetThatIsDownIsNotAskedAndSleepIsNotCutShort) {
  purged("/a");
  after(seconds(2), mask_of(kFrontend));
  EXPECT_TRUE(transport_.links.empty());
  EXPECT_GT(audit_.next_due(), clock_.now());
  after(seconds(10), mask_of(kFrontend));
  EXPECT_EQ(looks(snapshot(), AuditVerdict::skipped), 1u);
  EXPECT_EQ(looks(snapshot(), AuditVerdict::failed), 0u);
}

TEST_F(AppAuditTest, NoAnswerIsNoViolation) {
  purged("/a");
  after(seconds(1));
  connect();
  EXPECT_EQ(audit_.next_due(), clock_.now() + seconds(1)) << "late looks, before the time-out";
  after(seconds(10));
  EXPECT_EQ(looks(snapshot(), AuditVerdict::failed), 1u);
  EXPECT_FALSE(snapshot().audit_ratio);
}

TEST_F(AppAuditTest, ATargetThatIsRemovedInTheMiddleOfALookLeavesNothingBehind) {
  purged("/a");
  purged("/b");
  after(seconds(1));
  connect();
  audit_.remove(kBackend);
  EXPECT_FALSE(audit_.idle()) << "its connection is not closed yet";
  PurgeConfig without = config();
  without.layers = {layer("frontend", 2)};
  const auto change = table_.plan(without.layers);
  ASSERT_TRUE(change);
  table_.apply(*change);
  turn();
  turn();
  EXPECT_TRUE(audit_.idle());
  EXPECT_EQ(snapshot().audit->open, 0);
}

TEST_F(AppAuditTest, AStopClosesWhatIsOpenAndBeginsNothing) {
  purged("/a");
  purged("/b");
  after(seconds(1));
  connect();
  EXPECT_FALSE(audit_.idle());
  audit_.drain();
  transport_.drain_closes();
  turn();
  EXPECT_TRUE(audit_.idle());
  EXPECT_GT(audit_.next_due(), clock_.now()) << "what is due is not begun any more";
  after(seconds(1));
  EXPECT_TRUE(audit_.idle());
  EXPECT_EQ(transport_.links.size(), 1u);
}

TEST_F(AppAuditTest, IsNotQuietWhileWhatIsPurgedAgainWaitsForRoom) {
  purged("/a");
  after(seconds(1));
  connect();
  answer(copy(minutes(1)));
  turn();
  EXPECT_FALSE(audit_.quiet()) << "nobody had room for it";
  EXPECT_TRUE(audit_.take_again());
  EXPECT_TRUE(audit_.quiet());
}

TEST(AppAudit, OffSamplesNothingAndShowsNothing) {
  test::FakeClock clock;
  test::FakeRandom random;
  test::FakeTransport transport;
  test::FakeResolver resolver;
  Lines log;
  PurgeConfig off = config();
  off.audit.sample.reset();
  TargetTable table(off.layers);
  Audit audit(off, table, transport, resolver, clock, random, log);
  Outcome outcome;
  outcome.result = AttemptResult::purged;
  outcome.attempts = 3;
  EXPECT_FALSE(audit.wants(outcome));
  EXPECT_TRUE(audit.quiet());
  MetricsSnapshot out;
  audit.snapshot(out);
  EXPECT_FALSE(out.audit);
  audit.change(config());
  EXPECT_TRUE(audit.wants(outcome));
  outcome.result = AttemptResult::retry;
  EXPECT_FALSE(audit.wants(outcome)) << "only what was answered well";
  outcome.result = AttemptResult::filtered;
  EXPECT_FALSE(audit.wants(outcome)) << "and is this cache's";
}

}  // namespace
}  // namespace purgeline
