#include "sources/kafka_offsets.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::string_view kVersion = "v1 ";
constexpr std::string_view kNone = "-";

}  // namespace

std::string commit_metadata(const Position& position) {
  std::string text(kVersion);
  if (position.event_time) {
    const auto since = position.event_time->time_since_epoch();
    // Rounded down: a start that is found by time must not come after the event.
    text += std::to_string(std::chrono::floor<std::chrono::milliseconds>(since).count());
  } else {
    text += kNone;
  }
  text += ' ';
  text += position.cluster.empty() ? kNone : std::string_view(position.cluster);
  return text;
}

Position parse_commit_metadata(Offset offset, std::string_view metadata) {
  Position position{offset, std::nullopt, {}};
  if (!metadata.starts_with(kVersion)) return position;
  metadata.remove_prefix(kVersion.size());
  const std::size_t space = metadata.find(' ');
  if (space == std::string_view::npos) return position;
  const std::string_view time = metadata.substr(0, space);
  const std::string_view cluster = metadata.substr(space + 1);
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(time.data(), time.data() + time.size(), ms);
  // Milliseconds that do not fit our nanoseconds (after the year 2262) are no time at all.
  const bool fits =
      ms >= 0 && ms <= std::chrono::floor<std::chrono::milliseconds>(Duration::max()).count();
  if (error == std::errc() && end == time.data() + time.size() && fits) {
    position.event_time = WallTime(std::chrono::milliseconds(ms));
  } else if (time != kNone) {
    return position;  // not written by us after all
  }
  if (cluster != kNone) position.cluster = cluster;
  return position;
}

KafkaOffsetStore::KafkaOffsetStore(KafkaClient& control, KafkaHelper& helper, int wake_fd,
                                   Duration ask_timeout)
    : control_(control),
      helper_(helper),
      ask_timeout_(ask_timeout),
      answers_(control.answers(wake_fd)) {}

void KafkaOffsetStore::start(OffsetStoreListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

void KafkaOffsetStore::stop() {
  CHECK(answers_ != nullptr);
  answers_.reset();
}

void KafkaOffsetStore::load(PartitionId partition, const PartitionName& name) {
  CHECK(listener_ != nullptr);
  const auto timeout = std::chrono::duration_cast<KafkaClient::Timeout>(ask_timeout_);
  const bool taken = helper_.submit([this, partition, name, timeout]() -> KafkaHelper::End {
    const Result<std::optional<KafkaStored>> answer = control_.committed(name, timeout);
    return [this, partition, answer] {
      if (!answers_) return;
      if (!answer) {
        listener_->on_loaded(partition, tl::unexpected<Error>(answer.error()));
        return;
      }
      std::optional<Position> position;
      if (*answer) {
        const KafkaStored& stored = **answer;
        position = parse_commit_metadata(stored.offset, stored.metadata);
      }
      listener_->on_loaded(partition, std::move(position));
    };
  });
  if (taken) return;
  refused_.emplace_back([this, partition] {
    listener_->on_loaded(partition, failure(Errc::unavailable, "too many questions are open"));
  });
}

void KafkaOffsetStore::commit(std::span<const Commit> commits) {
  CHECK(listener_ != nullptr && answers_ != nullptr);
  if (commits.empty()) return;
  Request request;
  for (const Commit& one : commits) {
    CHECK(one.position.offset.value() >= 0);
    request.partitions.push_back(one.partition);
    request.stored.push_back({one.name, one.position.offset, commit_metadata(one.position)});
  }
  send(std::move(request));
}

void KafkaOffsetStore::send(Request request) {
  KafkaCommitAnswer refusal;
  if (in_flight_.size() >= kMaxInFlight) {
    refusal.status = failure(Errc::unavailable, "earlier commits are not answered yet");
  } else {
    const std::uint64_t serial = next_serial_++;
    refusal.status = control_.commit(request.stored, answers_.get(), serial);
    if (refusal.status) {
      in_flight_.emplace(serial, std::move(request));
      return;
    }
  }
  refused_.emplace_back([this, request, refusal] { finish(request, refusal); });
}

void KafkaOffsetStore::finish(const Request& request, const KafkaCommitAnswer& answer) {
  CHECK(request.partitions.size() == request.stored.size());
  for (std::size_t i = 0; i < request.stored.size(); ++i) {
    const KafkaStored& stored = request.stored[i];
    Status status = answer.status;
    // A request can fail in parts: then the part's own words count, and its success, too.
    for (const KafkaCommitAnswer::Part& part : answer.parts) {
      if (part.name == stored.name && (!part.status || answer.status)) status = part.status;
    }
    listener_->on_committed(request.partitions[i], stored.offset, std::move(status));
  }
}

void KafkaOffsetStore::poll() {
  CHECK(listener_ != nullptr && answers_ != nullptr);
  while (const auto answer = control_.poll_commit(answers_.get())) {
    const auto at = in_flight_.find(answer->serial);
    CHECK(at != in_flight_.end());
    const Request request = std::move(at->second);
    in_flight_.erase(at);
    finish(request, *answer);
  }
  std::vector<std::function<void()>> refused;
  refused.swap(refused_);
  for (const auto& tell : refused) tell();
}

}  // namespace purgeline
