// The connection that the audit looks through: what it sends, and what it makes of each answer.
#include <gtest/gtest.h>

#include <string>

#include "app/audit_link.h"
#include "unit/dispatch_support.h"

namespace purgeline {
namespace {

using std::chrono::seconds;
using Ended = AuditLink::Ended;

const std::string kAgent = std::string("User-Agent: ").append(default_user_agent()) + "\r\n";
const std::string kHello = "PURGE /purgeline-probe HTTP/1.1\r\nHost: purgeline.invalid\r\n" +
                           kAgent + "X-Purgeline-Audit: 1\r\n\r\n";
const std::string kProbe =
    "PURGE /page HTTP/1.1\r\nHost: h\r\n" + kAgent + "X-Purgeline-Audit: 1\r\n\r\n";
const std::string kHead = "HEAD /page HTTP/1.1\r\nHost: h\r\n" + kAgent +
                          "Cache-Control: only-if-cached, max-stale\r\n\r\n";

const std::string kVclAbsent =
    "HTTP/1.1 504 Not cached\r\nX-Varnish: 2\r\nX-Purgeline-Audit: absent\r\n"
    "Content-Length: 0\r\n\r\n";
const std::string kVclCopy =
    "HTTP/1.1 200 Copy\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: 12.500\r\n"
    "X-Purgeline-Audit: copy\r\nContent-Length: 0\r\n\r\n";
const std::string kAts404 =
    "HTTP/1.1 404 Not Found\r\nServer: ATS/9.2.9\r\nContent-Length: 0\r\n\r\n";
const std::string kAtsCopy =
    "HTTP/1.1 200 OK\r\nServer: ATS/9.2.9\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: 3\r\n"
    "Content-Length: 4711\r\n\r\n";

TargetSpec spec(const std::string& host = "127.0.0.1") {
  TargetSpec spec;
  spec.endpoint = test::endpoint(host);
  return spec;
}

class AuditLinkTest : public ::testing::Test {
 protected:
  // The newest link to the cache.
  test::FakeTransport::Link& wire() { return transport_.links.back(); }
  std::optional<Ended> turn() {
    auto ended = link_.turn(clock_.now());
    if (!transport_.links.empty()) transport_.sent(transport_.links.size() - 1);
    transport_.drain_closes();
    return ended;
  }
  // Begins a look and opens what it connects to.
  void look() {
    const std::size_t before = transport_.links.size();
    link_.look("h", "/page");
    EXPECT_FALSE(turn());
    if (transport_.links.size() > before) open();
  }
  void open() {
    transport_.opened(transport_.links.size() - 1);
    EXPECT_FALSE(turn());
  }
  // The cache says this, and the link goes on.
  std::optional<Ended> answer(const std::string& text) {
    transport_.bytes(transport_.links.size() - 1, text);
    return turn();
  }
  // What was written since the last call.
  std::string written() { return std::exchange(wire().written, {}); }

  test::FakeClock clock_;
  test::FakeTransport transport_;
  test::FakeResolver resolver_;
  bool touched_{false};
  AuditLink link_{spec(), transport_, resolver_, touched_};
};

TEST_F(AuditLinkTest, AsksAVarnishWithTheShippedVclByItsProbe) {
  look();
  EXPECT_EQ(written(), kHello) << "before anything is known, a purge of nobody's URL";
  EXPECT_FALSE(answer(kVclAbsent));
  EXPECT_FALSE(turn());
  EXPECT_EQ(written(), kProbe);
  auto ended = answer(kVclCopy);
  ASSERT_TRUE(ended && ended->head);
  EXPECT_EQ(ended->head->age, std::chrono::milliseconds(12'500));
  EXPECT_TRUE(ended->blind.empty());
  EXPECT_EQ(link_.kind(), AuditLink::Kind::vcl_probe);
  look();
  EXPECT_EQ(written(), kProbe) << "on the same connection, and without the first question";
  ended = answer(kVclAbsent);
  ASSERT_TRUE(ended && ended->head);
  EXPECT_EQ(ended->head->status, 504);
  EXPECT_EQ(transport_.links.size(), 1u);
}

TEST_F(AuditLinkTest, AsksATrafficServerForWhatIsCachedOnly) {
  look();
  EXPECT_FALSE(answer(kAts404));
  EXPECT_FALSE(turn());
  EXPECT_EQ(written(), kHello + kHead);
  const auto ended = answer(kAtsCopy);
  ASSERT_TRUE(ended && ended->head);
  EXPECT_EQ(ended->head->age, seconds(3));
  look();
  EXPECT_EQ(written(), kHead) << "a HEAD has no body, whatever length it tells";
}

// The one thing that must not happen: that a cache which does not understand fetches.
TEST_F(AuditLinkTest, SendsNothingButThePurgeToACacheItDoesNotKnow) {
  for (const std::string& said :
       {std::string("HTTP/1.1 204 Purged\r\nX-Varnish: 2\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"),
        // A Varnish without PURGE in its VCL hands it to the Traffic Server behind it.
        std::string("HTTP/1.1 404 x\r\nServer: ATS/9.2.9\r\nVia: 1.1 v (Varnish/7.1)\r\n"
                    "Content-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 404 x\r\nServer: ATS/9.2.9\r\nX-Varnish: 4\r\n"
                    "Content-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")}) {
    look();
    const auto ended = answer(said);
    ASSERT_TRUE(ended) << said;
    EXPECT_FALSE(ended->head);
    EXPECT_NE(ended->blind.find("conf/purge.vcl"), std::string::npos) << said;
    EXPECT_EQ(written(), kHello) << said;
    EXPECT_FALSE(turn());
    EXPECT_TRUE(link_.closed());
  }
}

TEST_F(AuditLinkTest, AVclWhoseProbeIsGoneIsLookedIntoNoMore) {
  look();
  EXPECT_FALSE(answer(kVclAbsent));
  EXPECT_FALSE(turn());
  const auto ended = answer("HTTP/1.1 204 Purged\r\n\r\n");
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->head);
  EXPECT_NE(ended->blind.find("no more"), std::string::npos);
}

// Who answers next on that port may be somebody else.
TEST_F(AuditLinkTest, AsksAnewWhoIsThereOnEachConnection) {
  look();
  EXPECT_FALSE(answer(kAts404));
  EXPECT_FALSE(turn());
  EXPECT_TRUE(answer(kAtsCopy));
  transport_.closed(0, Errc::closed);
  EXPECT_FALSE(turn());
  look();
  ASSERT_EQ(transport_.links.size(), 2u);
  EXPECT_EQ(written(), kHello);
}

// Varnish does so after five idle seconds, without a word.
TEST_F(AuditLinkTest, AnIdleConnectionThatIsClosedInTheMomentOfAskingIsTriedAgain) {
  look();
  EXPECT_FALSE(answer(kVclAbsent));
  EXPECT_FALSE(turn());
  EXPECT_TRUE(answer(kVclAbsent));
  look();
  transport_.closed(0, Errc::closed);
  EXPECT_FALSE(turn());
  ASSERT_EQ(transport_.links.size(), 2u);
  open();
  EXPECT_EQ(written(), kHello);
  transport_.closed(1, Errc::closed);
  const auto ended = turn();
  ASSERT_TRUE(ended) << "but not one that never brought an answer";
  EXPECT_FALSE(ended->head);
  EXPECT_TRUE(ended->blind.empty());
}

TEST_F(AuditLinkTest, AnAnswerWithABodyIsReadOnANewConnection) {
  look();
  EXPECT_FALSE(answer("HTTP/1.1 404 x\r\nServer: ATS/9.2.9\r\nContent-Length: 5\r\n\r\nab"));
  EXPECT_FALSE(turn());
  ASSERT_EQ(transport_.links.size(), 2u);
  open();
  EXPECT_EQ(written(), kHead) << "who it was is known";
  EXPECT_TRUE(answer(kAtsCopy));
}

TEST_F(AuditLinkTest, ACacheThatClosesAfterEachAnswerIsNotAskedForEver) {
  look();
  std::optional<Ended> ended;
  int connections = 0;
  for (; !ended && connections < 100; ++connections) {
    transport_.bytes(transport_.links.size() - 1, kVclAbsent);
    transport_.closed(transport_.links.size() - 1, Errc::closed);
    ended = turn();
    if (!ended) open();
  }
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->head);
  EXPECT_EQ(connections, 3);
}

TEST_F(AuditLinkTest, SilenceAndNonsenseEndTheLookAndTheConnection) {
  link_.look("h", "/page");
  EXPECT_FALSE(turn());
  clock_.advance(seconds(2));
  ASSERT_TRUE(turn()) << "not connected";
  look();
  EXPECT_EQ(link_.next_due(), clock_.now() + seconds(10));
  clock_.advance(seconds(10));
  const auto ended = turn();
  ASSERT_TRUE(ended) << "no answer";
  EXPECT_FALSE(ended->head);
  EXPECT_TRUE(ended->blind.empty());
  EXPECT_EQ(link_.next_due(), MonoTime::max());
  EXPECT_FALSE(turn());
  EXPECT_TRUE(link_.closed());
  look();
  ASSERT_TRUE(answer("what?\r\n\r\n"));
  EXPECT_FALSE(turn());
  look();
  EXPECT_FALSE(answer(kVclAbsent));
  EXPECT_FALSE(turn());
  EXPECT_TRUE(answer(kVclAbsent));
  EXPECT_FALSE(answer(kVclAbsent)) << "an answer that nobody asked for";
  EXPECT_FALSE(turn());
  EXPECT_TRUE(link_.closed()) << "what comes next on it would be taken for another";
}

TEST_F(AuditLinkTest, NothingThatCouldSplitARequestIsSent) {
  link_.look("h", "/a b");
  EXPECT_FALSE(turn());
  open();
  const auto ended = answer(kAts404);
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->head);
  EXPECT_EQ(written(), kHello);
}

TEST(AuditLink, ResolvesNames) {
  test::FakeClock clock;
  test::FakeTransport transport;
  test::FakeResolver resolver;
  bool touched = false;
  {
    AuditLink link(spec("cache.example.org"), transport, resolver, touched);
    link.look("h", "/page");
    EXPECT_FALSE(link.turn(clock.now()));
    EXPECT_EQ(resolver.asked, std::vector<std::string>{"cache.example.org:80"});
    resolver.answer = failure(Errc::not_found, "no such name");
    touched = false;
    resolver.poll();
    EXPECT_TRUE(touched);
    const auto ended = link.turn(clock.now());
    ASSERT_TRUE(ended);
    EXPECT_FALSE(ended->head);
    link.look("h", "/page");
    EXPECT_FALSE(link.turn(clock.now()));
    Address address;
    address.family = Address::Family::inet4;
    address.port = 80;
    resolver.answer = std::vector{address};
    resolver.poll();
    EXPECT_FALSE(link.turn(clock.now()));
    ASSERT_EQ(transport.links.size(), 1u);
    EXPECT_EQ(transport.links[0].address, address);
    link.close();
    transport.drain_closes();
    link.look("h", "/page");
    EXPECT_FALSE(link.turn(clock.now()));
  }
  EXPECT_EQ(resolver.waiting, nullptr) << "who is gone is not called any more";
}

// A name with two addresses of which one is dead, whether it refuses or stays silent.
TEST(AuditLink, GoesOnToTheNextAddress) {
  test::FakeClock clock;
  test::FakeTransport transport;
  test::FakeResolver resolver;
  bool touched = false;
  Address first, second;
  first.family = second.family = Address::Family::inet4;
  first.port = 80;
  second.port = 81;
  AuditLink link(spec("cache.example.org"), transport, resolver, touched);
  const auto connect = [&] {
    EXPECT_FALSE(link.turn(clock.now()));
    resolver.answer = std::vector{first, second};
    resolver.poll();
    EXPECT_FALSE(link.turn(clock.now()));
  };
  link.look("h", "/page");
  connect();
  EXPECT_EQ(transport.links.back().address, first);
  transport.closed(0, Errc::refused);
  EXPECT_FALSE(link.turn(clock.now()));
  connect();
  EXPECT_EQ(transport.links.back().address, second) << "the first one has refused";
  clock.advance(seconds(5));
  EXPECT_TRUE(link.turn(clock.now())) << "too late";
  transport.drain_closes();
  link.look("h", "/page");
  EXPECT_FALSE(link.turn(clock.now()));
  connect();
  EXPECT_EQ(transport.links.back().address, first) << "the second one is silent";
}

}  // namespace
}  // namespace purgeline
