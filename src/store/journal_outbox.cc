#include "store/journal_outbox.h"

#include <optional>
#include <utility>

namespace purgeline {

Status JournalOutbox::read(const std::string& topic, Offset from, OutboxVisitor& visitor) {
  std::optional<Result<JournalReader::Answer>> answer;
  if (!reader_.ask(JournalReader::ReadPage{topic, from},
                   [&answer](Result<JournalReader::Answer> got) { answer = std::move(got); })) {
    return failure(Errc::unavailable, "the journal is not read any more");
  }
  while (!answer) reader_.wait();
  damage_.try_emplace(topic, journal_, "outbox " + topic).first->second.take(*answer);
  if (!*answer) return tl::unexpected<Error>(std::move(answer->error()));
  const auto* page = std::get_if<JournalPage>(&**answer);
  if (page == nullptr) {
    return failure(Errc::out_of_range, topic + " has no offset " + std::to_string(from.value()));
  }
  for (std::size_t row = 0; row < page->rows.size(); ++row) {
    const Offset offset(page->first.value() + static_cast<std::int64_t>(row));
    if (!visitor.on_event({offset, page->rows[row].time, page->key(row), page->value(row)})) break;
  }
  return {};
}

// A trim that fails costs disk space and a second forwarding after a restart; the next one makes
// up for it.
void JournalOutbox::trim(const std::string& topic, Offset below) {
  static_cast<void>(journal_.trim(topic, below, [](const Status&) {}));
}

}  // namespace purgeline
