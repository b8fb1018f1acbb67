// Messages of peers: what is written is read again, and nothing else is taken.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sources/peer_codec.h"

namespace purgeline {
namespace {

PeerMark mark(std::string topic, std::int32_t partition, std::int64_t purged, std::int64_t fenced,
              std::int64_t from = 0, std::int64_t to = 0) {
  return {{std::move(topic), partition}, Offset(purged), Offset(fenced), Offset(from), Offset(to)};
}

PeerMark with_fence_gap(PeerMark mark, std::int64_t from, std::int64_t to) {
  mark.fence_gap_from = Offset(from);
  mark.fence_gap_to = Offset(to);
  return mark;
}

TEST(PeerCodec, WhatIsWrittenIsReadAgain) {
  const std::vector<std::vector<PeerMark>> reports{
      {},
      {mark("a", 0, 0, 0)},
      {with_fence_gap(mark("eqiad.resource-purge", 0, 1234567, 1234000, 5, 900), 4, 1234000),
       mark("b", 7, 127, 128 - 1), mark("b", 8, INT64_MAX, INT64_MAX, INT64_MAX - 1, INT64_MAX)},
      std::vector<PeerMark>(kMaxPeerPartitions, mark("x", 1, 1, 1)),
  };
  for (const auto& marks : reports) {
    const auto read = decode_peer_report(encode_peer_report("cp1001", marks));
    ASSERT_TRUE(read.has_value()) << read.error().detail;
    EXPECT_EQ(read->host, "cp1001");
    EXPECT_EQ(read->marks, marks);
  }
}

TEST(PeerCodec, AFewBytesForAPartition) {
  const std::vector<PeerMark> marks{mark("resource-purge", 0, 1000000, 999000)};
  EXPECT_LT(encode_peer_report("cp1001", marks).size(), 40u);
}

TEST(PeerCodec, NoGapIsWrittenAsNone) {
  const std::vector<PeerMark> marks{mark("a", 0, 9, 9, 7, 7)};
  const auto read = decode_peer_report(encode_peer_report("h", marks));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->marks[0].gap_from, Offset(0));
  EXPECT_EQ(read->marks[0].gap_to, Offset(0));
}

TEST(PeerCodec, CutShortAnywhereItIsRefused) {
  const std::vector<PeerMark> marks{mark("topic", 300, 1000, 900, 5, 600),
                                    mark("topic", 301, 9, 9)};
  const std::string whole = encode_peer_report("cp1", marks);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size == 6) continue;  // a host without partitions
    EXPECT_FALSE(decode_peer_report(whole.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(decode_peer_report(whole + '\0').has_value());
}

TEST(PeerCodec, WhatCannotBeIsRefusedInWords) {
  const std::string host("P\x01\x02h1", 5);
  const std::string topic("\x01t", 2);
  const auto with = [&](std::string_view rest) {
    return host + topic + std::string(rest);
  };
  using std::string_view_literals::operator""sv;
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", "it is no report of a peer"},
      {"{\"host\":1}", "it is no report of a peer"},
      {std::string("P\x02\x02h1", 5), "it is a report of another version"},
      {std::string("P\x01\x00", 3), "it has no host's name"},
      {std::string("P\x01\x02h ", 5), "it has no host's name"},
      {std::string("P\x01\x7fh1", 5), "it has no host's name"},
      {host + std::string("\x00\x01", 2), "it has a topic without a name"},
      {with("\x00"sv), "it has no partitions of a topic, or too many"},
      {with("\x81\x20"sv), "it has no partitions of a topic, or too many"},
      {with("\x01\x00\x05\x06\x00\x00\x00\x00"sv), "a mark is above what was purged"},
      {with("\x01\x00\x05\x05\x00\x06\x00\x00"sv), "a mark is above what was purged"},
      {with("\x01\x00\x05\x04\x00\x05\x00\x05"sv), "a gap is above what was fenced"},
      {with("\x01\x00\x05\x05\x04\x03\x00\x00"sv), "a gap ends before it begins"},
      {with("\x01\x00\x05\x05\x00\x00\x04\x03"sv), "a gap ends before it begins"},
      {with("\x01\x80\x00\x05\x05\x00\x00\x00\x00"sv),
       "a partition's numbers are cut short or too large"},
      {with("\x01\x00\x05\x05\x00\x00"sv), "a partition's numbers are cut short or too large"},
      {with("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00"sv),
       "a partition's numbers are cut short or too large"},
      {std::string(kMaxPeerMessage + 1, 'P'), "it is longer than any report"},
  };
  for (const auto& [bytes, words] : rows) {
    const auto read = decode_peer_report(bytes);
    ASSERT_FALSE(read.has_value()) << words;
    EXPECT_EQ(read.error().detail, words);
    EXPECT_EQ(read.error().code, Errc::invalid);
  }
}

}  // namespace
}  // namespace purgeline
