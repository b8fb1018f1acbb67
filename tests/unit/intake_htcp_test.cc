// HTCP without sockets: packets, sources, numbers, and a journal that has no room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/htcp.h"
#include "decode/resource_change.h"
#include "intake/htcp_intake.h"
#include "intake/senders.h"
#include "unit/intake_htcp_packet.h"
#include "unit/intake_support.h"

namespace purgeline {
namespace {

using test::htcp_packet;

TEST(Htcp, ReadsMediaWikisPacket) {
  const std::string packet = htcp_packet("http://en.wikipedia.org/wiki/Foo", 7);
  EXPECT_EQ(packet.size(), 68U);
  const HtcpClear clear = read_htcp(packet);
  EXPECT_EQ(clear.outcome, HtcpOutcome::accepted);
  EXPECT_EQ(clear.uri, "http://en.wikipedia.org/wiki/Foo");
  EXPECT_EQ(clear.transaction, 7U);
}

// Every length of the packet, every value near and far from the right one: one is right.
TEST(Htcp, OneWrongLengthIsRefused) {
  const std::string good = htcp_packet("http://h/abc", 1);
  const std::vector<std::size_t> lengths{0, 4, 14, 20, 34, 44, 46};
  for (const std::size_t at : lengths) {
    std::size_t accepted = 0;
    for (unsigned value = 0; value <= 0xFFFF; ++value) {
      std::string packet = good;
      packet[at] = static_cast<char>(value >> 8);
      packet[at + 1] = static_cast<char>(value & 0xFF);
      accepted += read_htcp(packet).outcome == HtcpOutcome::accepted ? 1 : 0;
    }
    EXPECT_EQ(accepted, 1U) << "length at " << at;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(read_htcp(good.substr(0, size)).outcome, HtcpOutcome::accepted) << size;
  }
  EXPECT_NE(read_htcp(good + "x").outcome, HtcpOutcome::accepted);
}

class HtcpIntakeTest : public testing::Test {
 protected:
  void make(std::vector<std::string> sources, std::uint64_t rate = 0) {
    intake_.emplace(HtcpIntakeOptions{"topic", std::move(sources), rate}, journal_, clock_, random_,
                    queue_.post());
  }
  void send(const std::string& from, const std::string& packet, bool cut = false) {
    intake_->on_packet(*parse_ip(from), packet, cut);
    intake_->flush();
    queue_.run();
  }
  std::uint64_t count(HtcpOutcome outcome) {
    return intake_->metrics().packets[static_cast<std::size_t>(outcome)];
  }

  test::FakeClock clock_;
  test::FakeRandom random_;
  test::FakeJournal journal_;
  test::Queue queue_;
  std::optional<HtcpIntake> intake_;
};

TEST_F(HtcpIntakeTest, APacketBecomesAnEvent) {
  make({});
  send("127.0.0.1", htcp_packet("http://h/a\"b", 1));
  ASSERT_EQ(journal_.written.size(), 1U);
  EXPECT_EQ(journal_.written[0].topic, "topic");
  PurgeDecoder decoder;
  const DecodeResult result = decoder.decode(journal_.written[0].value);
  ASSERT_EQ(result.kind, DecodeKind::event);
  EXPECT_EQ(result.event.host, "h");
  EXPECT_EQ(result.event.target, "/a\"b");
  EXPECT_EQ(result.event.dt, std::chrono::floor<std::chrono::microseconds>(clock_.wall()));
  EXPECT_EQ(count(HtcpOutcome::accepted), 1U);
}

TEST_F(HtcpIntakeTest, EveryPacketIsCountedOnce) {
  make({"192.0.2.0/24", "2001:db8::/32"});
  send("192.0.2.9", htcp_packet("http://h/", 1));
  send("2001:db8::9", htcp_packet("http://h/", 1));
  send("127.0.0.1", htcp_packet("http://h/", 1));
  send("192.0.3.1", htcp_packet("http://h/", 1));
  send("192.0.2.1", "short");
  send("192.0.2.1", htcp_packet("http://h/", 1), true);
  send("192.0.2.1", htcp_packet("http://h/\r\n", 1));
  send("192.0.2.1", htcp_packet("http://h/\xff", 2));
  journal_.error = Error{Errc::no_space, "full"};
  send("192.0.2.1", htcp_packet("http://h/", 3));
  EXPECT_EQ(count(HtcpOutcome::accepted), 2U);
  EXPECT_EQ(count(HtcpOutcome::not_allowed), 2U);
  EXPECT_EQ(count(HtcpOutcome::too_short), 1U);
  EXPECT_EQ(count(HtcpOutcome::too_long), 1U);
  EXPECT_EQ(count(HtcpOutcome::bad_url), 2U);
  EXPECT_EQ(count(HtcpOutcome::failed), 1U);
  EXPECT_EQ(journal_.written.size(), 2U);
  EXPECT_EQ(intake_->sources()[0].metrics.packets, 6U);
  EXPECT_EQ(intake_->sources()[1].metrics.packets, 1U);
}

TEST_F(HtcpIntakeTest, WhatTheJournalHasNoRoomForIsOfferedAgain) {
  make({});
  journal_.full = true;
  send("127.0.0.1", htcp_packet("http://h/", 1));
  EXPECT_FALSE(intake_->has_room());
  EXPECT_EQ(intake_->metrics().waiting, 1);
  journal_.full = false;
  intake_->flush();
  queue_.run();
  EXPECT_TRUE(intake_->has_room());
  EXPECT_EQ(journal_.written.size(), 1U);
  EXPECT_EQ(count(HtcpOutcome::accepted), 1U);
}

TEST_F(HtcpIntakeTest, ReadsNoMoreThanMayWait) {
  make({});
  journal_.at_once = false;
  std::size_t sent = 0;
  for (; intake_->has_room(); ++sent) {
    ASSERT_LT(sent, 100000U);
    send("127.0.0.1", htcp_packet("http://h/", static_cast<std::uint32_t>(sent)));
  }
  EXPECT_EQ(sent, HtcpIntake::kMostWaiting);
  journal_.write();
  queue_.run();
  EXPECT_TRUE(intake_->has_room());
  EXPECT_EQ(count(HtcpOutcome::accepted), sent);
}

TEST_F(HtcpIntakeTest, ARateForEachSender) {
  make({"192.0.2.0/24"}, 3);
  for (std::uint32_t i = 0; i < 5; ++i) send("192.0.2.1", htcp_packet("http://h/", i));
  send("192.0.2.2", htcp_packet("http://h/", 1));
  EXPECT_EQ(count(HtcpOutcome::limited), 2U);
  EXPECT_EQ(count(HtcpOutcome::accepted), 4U);
  clock_.advance(std::chrono::milliseconds(340));
  send("192.0.2.1", htcp_packet("http://h/", 5));
  send("192.0.2.1", htcp_packet("http://h/", 6));
  EXPECT_EQ(count(HtcpOutcome::limited), 3U);
  EXPECT_EQ(count(HtcpOutcome::accepted), 5U);
}

TEST_F(HtcpIntakeTest, GapsInTheNumbersAreEstimatedLoss) {
  make({"192.0.2.0/24"});
  for (std::uint32_t i = 1; i <= 200; ++i) {
    if (i % 50 != 0 || i > 150) send("192.0.2.1", htcp_packet("http://h/", i));
    send("192.0.2.2", htcp_packet("http://h/", i));
  }
  EXPECT_EQ(intake_->sources()[0].metrics.lost, 2U) << "150 may still come";
  send("192.0.2.1", htcp_packet("http://h/", 230));
  EXPECT_EQ(intake_->sources()[0].metrics.lost, 3U);
}

TEST(NumberWindow, Gaps) {
  NumberWindow window;
  EXPECT_EQ(window.see(0xFFFFFFF0U), 0U);
  EXPECT_EQ(window.see(2), 0U) << "over the end of the numbers";
  EXPECT_EQ(window.see(0xFFFFFFF1U), 0U) << "late";
  EXPECT_EQ(window.see(0xFFFFFFF1U), 0U) << "twice";
  EXPECT_EQ(window.see(2 + 64), 16U) << "17 were missing, one came late";
  EXPECT_EQ(window.see(2 + 64 + 200), 63U + 136U);
  EXPECT_EQ(window.see(1000000), 0U) << "a restart";
  EXPECT_EQ(window.see(1000001), 0U);
  EXPECT_EQ(window.see(1000001 + 164), 100U) << "counted on from there";
  EXPECT_EQ(window.see(5), 0U) << "a restart to lower numbers";
  EXPECT_EQ(window.see(6), 0U);
}

TEST(Senders, TheOneNotHeardForLongestGoes) {
  Senders senders(1);
  MonoTime now{};
  const auto address = [](std::size_t i) {
    IpAddress out{};
    out[14] = static_cast<std::uint8_t>(i >> 8);
    out[15] = static_cast<std::uint8_t>(i & 0xFF);
    return out;
  };
  for (std::size_t i = 0; i < Senders::kMost; ++i) {
    now += std::chrono::nanoseconds(1);
    EXPECT_TRUE(senders.take(senders.find(address(i), now), now));
  }
  now += std::chrono::nanoseconds(1);
  senders.find(address(0), now);
  senders.find(address(9999), now);
  EXPECT_FALSE(senders.take(senders.find(address(0), now), now)) << "still known";
  EXPECT_TRUE(senders.take(senders.find(address(1), now), now)) << "forgotten, hence new";
}

struct NetworkRow {
  const char* text;
  const char* inside;  // nullptr: refused
  const char* outside;
};

TEST(IpNetwork, ParsesAndContains) {
  const std::vector<NetworkRow> rows{
      {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
      {"192.0.2.128/25", "192.0.2.200", "192.0.2.127"},
      {"10.0.0.0/8", "10.255.0.1", "11.0.0.1"},
      {"0.0.0.0/0", "8.8.8.8", "2001:db8::1"},
      {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
      {"::/0", "10.0.0.1", nullptr},
      {"::1", "::1", "::2"},
      {"192.0.2.1/24", nullptr, nullptr},
      {"192.0.2.0/33", nullptr, nullptr},
      {"192.0.2.0/", nullptr, nullptr},
      {"192.0.2/24", nullptr, nullptr},
      {"localhost", nullptr, nullptr},
      {"", nullptr, nullptr},
  };
  for (const NetworkRow& row : rows) {
    SCOPED_TRACE(row.text);
    const auto network = parse_network(row.text);
    ASSERT_EQ(network.has_value(), row.inside != nullptr);
    if (!network) continue;
    EXPECT_TRUE(network->contains(*parse_ip(row.inside)));
    if (row.outside == nullptr) continue;
    EXPECT_FALSE(network->contains(*parse_ip(row.outside)));
  }
}

}  // namespace
}  // namespace purgeline
