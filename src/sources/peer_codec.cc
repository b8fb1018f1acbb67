#include "sources/peer_codec.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr char kMagic = 'P';
constexpr char kVersion = 1;
constexpr std::size_t kMaxTopicName = 249;  // Kafka's own limit

void put(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(0x80 | (number & 0x7F));
  out += static_cast<char>(number);
}

void put(std::string& out, std::string_view text) {
  put(out, text.size());
  out += text;
}

void put(std::string& out, Offset offset) {
  CHECK(offset >= Offset{});
  put(out, static_cast<std::uint64_t>(offset.value()));
}

void put_gap(std::string& out, Offset from, Offset to) {
  put(out, from < to ? from : Offset{});
  put(out, from < to ? to : Offset{});
}

// Cursor over the bytes; empty once something is wrong.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  [[nodiscard]] bool done() const { return left_.empty(); }

  // At most `most`; the shortest form only, so that a report has one form.
  std::optional<std::uint64_t> number(std::uint64_t most) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) != 0) continue;
      if ((byte == 0 && shift > 0) || value > most) return std::nullopt;
      return value;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> text(std::size_t most) {
    const auto size = number(most);
    if (!size || *size > left_.size()) return std::nullopt;
    const std::string_view text = left_.substr(0, *size);
    left_.remove_prefix(*size);
    return text;
  }

  std::optional<Offset> offset() {
    const auto value = number(INT64_MAX);
    if (!value) return std::nullopt;
    return Offset(static_cast<std::int64_t>(*value));
  }

 private:
  std::string_view left_;
};

tl::unexpected<Error> wrong(const char* what) {
  return failure(Errc::invalid, what);
}

bool plain(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Status read_mark(Reader& reader, const std::string& topic, PeerReport& report) {
  const auto partition = reader.number(INT32_MAX);
  const auto purged = reader.offset();
  const auto fenced = reader.offset();
  const auto gap_from = reader.offset();
  const auto gap_to = reader.offset();
  const auto fence_gap_from = reader.offset();
  const auto fence_gap_to = reader.offset();
  if (!partition || !purged || !fenced || !gap_from || !gap_to || !fence_gap_from ||
      !fence_gap_to) {
    return wrong("a partition's numbers are cut short or too large");
  }
  if (*fenced > *purged || *gap_to > *purged) return wrong("a mark is above what was purged");
  if (*fence_gap_to > *fenced) return wrong("a gap is above what was fenced");
  if (*gap_from > *gap_to || *fence_gap_from > *fence_gap_to) {
    return wrong("a gap ends before it begins");
  }
  report.marks.push_back({{topic, static_cast<std::int32_t>(*partition)},
                          *purged,
                          *fenced,
                          *gap_from,
                          *gap_to,
                          *fence_gap_from,
                          *fence_gap_to});
  return {};
}

}  // namespace

std::string encode_peer_report(std::string_view host, std::span<const PeerMark> marks) {
  CHECK(marks.size() <= kMaxPeerPartitions && host.size() <= kMaxPeerName);
  std::string out{kMagic, kVersion};
  put(out, host);
  for (std::size_t i = 0; i < marks.size();) {
    const std::string& topic = marks[i].name.topic;
    std::size_t end = i;
    while (end < marks.size() && marks[end].name.topic == topic) ++end;
    put(out, topic);
    put(out, end - i);
    for (; i < end; ++i) {
      const PeerMark& mark = marks[i];
      put(out, static_cast<std::uint64_t>(mark.name.partition));
      put(out, mark.purged);
      put(out, mark.fenced);
      put_gap(out, mark.gap_from, mark.gap_to);
      put_gap(out, mark.fence_gap_from, mark.fence_gap_to);
    }
  }
  return out;
}

Result<PeerReport> decode_peer_report(std::string_view bytes) {
  if (bytes.size() > kMaxPeerMessage) return wrong("it is longer than any report");
  if (bytes.size() < 2 || bytes[0] != kMagic) return wrong("it is no report of a peer");
  if (bytes[1] != kVersion) return wrong("it is a report of another version");
  Reader reader(bytes.substr(2));
  PeerReport report;
  const auto host = reader.text(kMaxPeerName);
  if (!host || !plain(*host)) return wrong("it has no host's name");
  report.host = *host;
  while (!reader.done()) {
    const auto topic = reader.text(kMaxTopicName);
    if (!topic || !plain(*topic)) return wrong("it has a topic without a name");
    const auto count = reader.number(kMaxPeerPartitions - report.marks.size());
    if (!count || *count == 0) return wrong("it has no partitions of a topic, or too many");
    const std::string name(*topic);
    for (std::uint64_t i = 0; i < *count; ++i) {
      if (Status read = read_mark(reader, name, report); !read) {
        return tl::unexpected<Error>(read.error());
      }
    }
  }
  return report;
}

}  // namespace purgeline
