
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "store/journal_source.h"

namespace purgeline {

JournalOffsets::JournalOffsets(Journal& journal, JournalReader& reader, std::string name,
                               int wake_fd)
    : journal_(journal),
      reader_(reader),
      name_(std::move(name)),
      wake_fd_(wake_fd),
      answers_(kMaxOpen) {}

JournalOffsets::~JournalOffsets() {
  while (open_ > 0) {
    telling_.clear();
    static_cast<void>(answers_.wait(telling_, std::nullopt));
    open_ -= telling_.size();
  }
}

void JournalOffsets::start(OffsetStoreListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

void JournalOffsets::load(PartitionId partition, const PartitionName& name) {
  CHECK(listener_ != nullptr);
  const auto end = [this, partition](Result<JournalReader::Answer> answer) {
    if (!answer) {
      listener_->on_loaded(partition, tl::unexpected<Error>(std::move(answer.error())));
      return;
    }
    listener_->on_loaded(partition, std::get<std::optional<Position>>(std::move(*answer)));
  };
  if (reader_.ask(JournalReader::LoadPosition{name_, name.topic}, end)) return;
  refused_.emplace_back([this, partition] {
    listener_->on_loaded(partition, failure(Errc::unavailable, "too many questions are open"));
  });
}

void JournalOffsets::commit(std::span<const Commit> commits) {
  CHECK(listener_ != nullptr);
  for (const Commit& one : commits) {
    const PartitionId partition = one.partition;
    const Offset offset = one.position.offset;
    CHECK(offset.value() >= 0);
    Error refusal{Errc::invalid, "the cluster's id is longer than " + std::to_string(kMaxCluster)};
    if (one.position.cluster.size() <= kMaxCluster) {
      const auto done = [this, partition, offset](Status status) {
        const bool pushed = answers_.push(Committed{partition, offset, std::move(status)});
        CHECK(pushed);
        if (wake_fd_ >= 0) write_eventfd(wake_fd_);
      };
      if (open_ < kMaxOpen && journal_.commit(name_, one, done)) {
        ++open_;
        continue;
      }
      refusal = {Errc::unavailable, "the journal's queue is full; the disk does not keep up"};
    }
    refused_.emplace_back([this, partition, offset, refusal] {
      listener_->on_committed(partition, offset, tl::unexpected<Error>(refusal));
    });
  }
}

void JournalOffsets::poll() {
  CHECK(listener_ != nullptr);
  answers_.drain(telling_);
  open_ -= telling_.size();
  for (Committed& one : telling_) {
    listener_->on_committed(one.partition, one.offset, std::move(one.status));
  }
  telling_.clear();
  std::vector<std::function<void()>> refused;
  refused.swap(refused_);
  for (const auto& tell : refused) tell();
}

JournalConnection::JournalConnection(Journal& journal, JournalSourceOptions options, int wake_fd,
                                     Clock& clock)
    : reader_(journal.path(), wake_fd),
      source_(journal, reader_, std::move(options), wake_fd, clock),
      offsets_(journal, reader_, "purge", wake_fd) {}

}  // namespace purgeline
