// MetricsSnapshot: what the shard counted, copied out for a scrape.
//
// The shard counts in plain integers of its own and publishes a copy now and then; nothing on the
// hot path is shared. Names, labels and help are in metrics.def.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/audit.h"
#include "purgeline/delivery.h"
#include "purgeline/event.h"
#include "purgeline/histogram.h"
#include "purgeline/intake.h"
#include "purgeline/record.h"
#include "purgeline/types.h"

namespace purgeline {

enum class CoalesceHow : std::uint8_t { opened, joined_waiting, joined_in_flight, covered };
inline constexpr std::size_t kCoalesceHow = 4;
[[nodiscard]] const char* coalesce_how_name(CoalesceHow how);

// What became of an event's fence, and of a purge that a fence needs.
enum class FenceHow : std::uint8_t { registered, shared, unregistered };
inline constexpr std::size_t kFenceHow = 3;
[[nodiscard]] const char* fence_how_name(FenceHow how);
enum class FencePurge : std::uint8_t { sent, served };
inline constexpr std::size_t kFencePurges = 2;
[[nodiscard]] const char* fence_purge_name(FencePurge how);

// The HTTP statuses that are counted by name: a cache's answer must not be able to make new labels.
inline constexpr std::array<std::uint16_t, 14> kCountedStatuses{200, 204, 400, 403, 404, 405, 408,
                                                                413, 414, 429, 500, 501, 502, 503};
inline constexpr std::size_t kStatuses = kCountedStatuses.size() + 1;  // the last is "other"
[[nodiscard]] std::size_t status_index(std::uint16_t status);
[[nodiscard]] const char* status_name(std::size_t index);

enum class LinkError : std::uint8_t {
  refused,
  timed_out,
  closed,
  reset,
  malformed,
  resolve,
  other
};
inline constexpr std::size_t kLinkErrors = 7;
[[nodiscard]] const char* link_error_name(LinkError error);

#define GROUP(Struct, labels) struct Struct {
#define COUNTER(field, name, help) std::uint64_t field{0};
#define GAUGE(field, name, help) double field{0};
#define COUNTER_BY(field, n, namer, label, name, help) std::array<std::uint64_t, n> field{};
#define HISTOGRAM(field, name, help) Histogram field{};
#define END(Struct) \
  }                 \
  ;
#include "purgeline/metrics.def"
#undef GROUP
#undef COUNTER
#undef GAUGE
#undef COUNTER_BY
#undef HISTOGRAM
#undef END

// One row of /readyz.
struct ReadyCheck {
  std::string name;
  bool ok{false};
  std::string detail;
};

// One row of /rejects: an input that was no valid event.
struct RefusedInput {
  RejectReason reason{};
  PartitionName partition;
  Offset offset;
  WallTime at{};
  std::string text;     // how it began, bytes as they came: escape before printing
  std::size_t size{0};  // how long it was
};

// What the audit can see of one cache.
struct AuditedTarget {
  std::string layer;
  std::string target;
  std::string how;    // "shipped VCL", "only-if-cached", or nothing while it is not known
  std::string blind;  // why it is not looked at; empty: it is
};

struct MetricsSnapshot {
  struct AuditStageRow {
    std::string layer;
    AuditStage stage{};
    AuditStageMetrics metrics;
  };
  struct HtcpSource {
    std::string source;  // the entry of intake.htcp.allow_sources
    IntakeHtcpSourceMetrics metrics;
  };
  struct Topic {
    std::string topic;
    TopicMetrics metrics;
  };
  struct Partition {
    PartitionName name;
    PartitionMetrics metrics;
  };
  struct Target {
    std::string layer;
    std::string target;
    TargetState state{};
    TargetMetrics metrics;
  };
  struct Peer {
    std::string peer;
    PeerMetrics metrics;
  };
  ShardMetrics shard;
  std::vector<Topic> topics;
  std::vector<Partition> partitions;
  std::vector<Target> targets;
  std::optional<PeersMetrics> peers;  // while there are some
  std::vector<Peer> each_peer;
  std::optional<JournalMetrics> journal;  // while there is one
  std::optional<OutboxMetrics> outbox;    // likewise; the control thread's
  // The control thread's, added when a page is made; the shard leaves them alone.
  IntakeHttpMetrics intake_http;
  IntakeHtcpMetrics intake_htcp;
  std::vector<HtcpSource> htcp_sources;
  std::optional<AuditMetrics> audit;             // while there is one
  std::optional<AuditRatioMetrics> audit_ratio;  // and when something was looked at
  std::vector<AuditStageRow> audit_stages;
  std::vector<AuditedTarget> audited;
  // As `refused`, of violations.
  std::shared_ptr<const std::vector<AuditFinding>> findings;
  std::uint64_t findings_ever{0};
  std::vector<ReadyCheck> ready;
  // The last ones, newest first, and how many there ever were. A list is made anew when there are
  // others and never changed, so that a copy of the snapshot shares it.
  std::shared_ptr<const std::vector<RefusedInput>> refused;
  std::uint64_t refused_ever{0};
  std::string io_backend;  // "uring" or "epoll"
  std::string io_reason;   // why not uring; empty when it is
  MonoTime taken{};
};

}  // namespace purgeline
