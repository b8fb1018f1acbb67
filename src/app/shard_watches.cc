#include "app/shard_watches.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "decode/posted_events.h"
#include "purgeline/check.h"

namespace purgeline {

ShardWatches::ShardWatches(const std::vector<LayerConfig>& layers) {
  for (const LayerConfig& layer : layers) {
    for (const Endpoint& target : layer.targets) names_.push_back({layer.name, target.text});
  }
  states_.resize(names_.size(), TargetState::unknown);
}

// ---- the intake's

bool ShardWatches::watch(const std::string& id, Duration wait, Told told) {
  const std::lock_guard lock(mutex_);
  if (closed_ || open_.load(std::memory_order_relaxed) >= kMost) return false;
  questions_.push_back({id, wait, std::move(told)});
  open_.fetch_add(1, std::memory_order_release);
  return true;
}

void ShardWatches::forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (!closed_) forgotten_.push_back(id);
}

void ShardWatches::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  take_questions();
  while (!watches_.empty()) tell(watches_.begin(), false);
}

// ---- the shard's

void ShardWatches::take_questions() {
  {
    const std::lock_guard lock(mutex_);
    taking_.swap(questions_);
    forgetting_.swap(forgotten_);
  }
  for (Question& question : taking_) {
    Watch watch{question.wait, std::move(question.told), {}, false, {}, {}, {}, {}};
    watch.rows.resize(names_.size());
    const bool fresh = watches_.emplace(std::move(question.id), std::move(watch)).second;
    CHECK(fresh);  // the intake made the id
  }
  for (const std::string& id : forgetting_) {
    if (watches_.erase(id) > 0) open_.fetch_sub(1, std::memory_order_relaxed);
  }
  taking_.clear();
  forgetting_.clear();
}

// The id was registered before its event was in the log: if somebody waits for this one, the
// question is there.
void ShardWatches::on_accepted(const PurgeEvent& event, const EventTicket& ticket,
                               TargetMask targets) {
  settling_.reset();
  take_questions();
  const auto found = watches_.find(event.id);
  if (found == watches_.end()) return;
  Watch& watch = found->second;
  if (watch.accepted) return;  // read a second time: the first journey is the answer
  watch.accepted = true;
  watch.ticket = ticket;
  watch.host = event.host;
  watch.path = event.target;
  for (std::size_t target = 0; target < names_.size(); ++target) {
    watch.rows[target].wanted = (targets & (TargetMask{1} << target)) != 0;
  }
}

void ShardWatches::on_unpurged(std::string_view id, EventOutcome outcome) {
  take_questions();
  const auto found = watches_.find(id);
  if (found == watches_.end() || found->second.accepted) return;
  for (Row& row : found->second.rows) {
    row.wanted = true;
    row.done = event_outcome_name(outcome);
  }
  tell(found, true);
}

void ShardWatches::on_attempt(TargetId target, const KeyText& url, const Outcome& outcome) {
  settling_ = target;
  for (auto& [id, watch] : watches_) {
    if (watch.accepted && watch.path == url.path && watch.host == url.host) {
      watch.rows[target.value()].last = outcome;
    }
  }
}

void ShardWatches::on_done(const EventTicket& ticket, TargetId target, bool left_out) {
  Watch* watch = find(ticket);
  if (watch == nullptr) return;
  Row& row = watch->rows[target.value()];
  const bool answered =
      row.last && (is_dead(row.last->result) || (settling_ == target && is_good(row.last->result)));
  if (answered) {
    row.done = attempt_result_name(row.last->result);
    return;
  }
  row.done = left_out ? "behind" : "covered";
  row.last.reset();
}

void ShardWatches::on_finished(const EventTicket& ticket) {
  Watch* watch = find(ticket);
  if (watch == nullptr) return;
  tell(std::find_if(watches_.begin(), watches_.end(),
                    [watch](const auto& entry) { return &entry.second == watch; }),
       true);
}

void ShardWatches::turn(MonoTime now, const std::vector<AbsenceFacts>& facts) {
  settling_.reset();
  take_questions();
  CHECK(facts.size() == states_.size());
  for (std::size_t i = 0; i < facts.size(); ++i) states_[i] = facts[i].state;
  for (auto at = watches_.begin(); at != watches_.end();) {
    const auto next = std::next(at);
    if (!at->second.deadline) at->second.deadline = now + at->second.wait;
    if (*at->second.deadline <= now) tell(at, false);
    at = next;
  }
}

MonoTime ShardWatches::next_due() const {
  MonoTime due = MonoTime::max();
  for (const auto& [id, watch] : watches_) {
    if (watch.deadline) due = std::min(due, *watch.deadline);
  }
  return due;
}

ShardWatches::Watch* ShardWatches::find(const EventTicket& ticket) {
  for (auto& [id, watch] : watches_) {
    if (watch.accepted && watch.ticket.reading == ticket.reading &&
        watch.ticket.sequence == ticket.sequence) {
      return &watch;
    }
  }
  return nullptr;
}

void ShardWatches::tell(Watches::iterator watch, bool finished) {
  CHECK(watch != watches_.end());
  const Told told = std::move(watch->second.told);
  PurgeOutcome outcome{finished, rows(watch->second)};
  watches_.erase(watch);
  open_.fetch_sub(1, std::memory_order_relaxed);
  told(std::move(outcome));
}

std::string ShardWatches::rows(const Watch& watch) const {
  std::string out = "[";
  for (std::size_t target = 0; target < names_.size(); ++target) {
    const Row& row = watch.rows[target];
    if (watch.accepted && !row.wanted) continue;
    if (out.size() > 1) out += ',';
    out += R"({"layer":)";
    write_json_string(out, names_[target].layer);
    out += R"(,"target":)";
    write_json_string(out, names_[target].target);
    out += R"(,"outcome":)";
    write_json_string(out, row.done == nullptr ? "pending" : row.done);
    if (row.last) {
      if (row.done == nullptr) {
        out += R"(,"last_attempt":)";
        write_json_string(out, attempt_result_name(row.last->result));
      }
      if (row.last->status != 0) out += R"(,"status":)" + std::to_string(row.last->status);
    }
    if (row.done == nullptr) {
      out += R"(,"target_state":)";
      write_json_string(out, target_state_name(states_[target]));
    }
    out += '}';
  }
  return out + "]";
}

}  // namespace purgeline
