// The audit's place in the pipeline: which purges it is told of, and how it purges again.
#include "app/pipeline.h"
#include "app/stage_options.h"
#include "decode/url.h"
#include "purgeline/check.h"

namespace purgeline {

// One that settles nobody's event (sent ahead) has no version that a copy could be older than.
void Pipeline::audit_purge(DeliveryId id, const Outcome& outcome) {
  const auto found = coalescer_.find(id);
  CHECK(found.has_value());
  if (found->some_event == kNone) return;
  const EventTicket ticket = journeys_.ticket(found->some_event);
  audit_.on_purged(found->target, found->text, stamped_version(ticket.stamp, clock_.now()),
                   outcome.attempts);
}

void Pipeline::turn_audit() {
  if (audit_.quiet()) return;
  TargetMask may_look = 0;
  for (const TargetId id : targets_.here()) {
    if (facts_[id.value()].state == TargetState::up && !absences_.behind(id)) {
      may_look |= mask_of(id);
    }
  }
  audit_.turn(outcomes_, may_look);
  if (audit_.take_fetch_time_change()) set_fence_times();
  while (!draining_ && journeys_.room() > 0) {
    const auto stale = audit_.take_again();
    if (!stale) return;
    purge_again(*stale);
  }
}

void Pipeline::set_fence_times() {
  FenceTimes times = fence_times(config_);
  times.fetch_time = audit_.fetch_time();
  journeys_.fences().set_times(times);
}

// An event of now that comes from nobody's log: on every layer in order, since what one of them
// had, those behind it may have been filled from.
void Pipeline::purge_again(const Audit::Again& stale) {
  UrlSplitter splitter;
  Url url;
  if (splitter.split("http://" + stale.host + stale.path, url)) return;
  JourneyInput input;
  input.key = url.key;
  input.text = {stale.host, stale.path, "audit"};
  input.version = clock_.now();
  input.ticket = {kNoReading, version_stamp(input.version), 0};
  for (const TargetId id : targets_.here()) input.targets |= mask_of(id);
  // Its fence may find no room: no position is there to be held for it.
  static_cast<void>(journeys_.accept(input));
}

}  // namespace purgeline
