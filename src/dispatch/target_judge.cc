// What each answer, and each end without an answer, means for a delivery and for its target.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "dispatch/target.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

// Five in a row are no chance: at one failure in ten, that is once in 100,000 purges.
constexpr std::uint32_t kFailuresToOpen = 5;
// Among eight denials in a row there would be a good answer, if the target denied only some URLs.
constexpr std::uint32_t kDenialsToDeny = 8;
// An idle connection that closes in the very moment of a request looks the same as a poisonous URL,
// once or even twice; three times, apart in time and on fresh connections, it does not.
constexpr std::uint8_t kLonelyTries = 3;
// Good answers in a row that show nothing, after one that did: somebody has loaded another VCL.
constexpr std::uint32_t kUnprovenInARow = 8;

// What an answer means before anything is known of the delivery or the target.
enum class Verdict : std::uint8_t { good, retry, denied, refused };

Verdict verdict(std::uint16_t status) {
  CHECK(status >= 200);
  if (status < 300 || status == 404) return Verdict::good;
  if (status == 403 || status == 405 || status == 501) return Verdict::denied;
  // 408 speaks of the connection: servers send it, unasked, when one was idle, and it can cross our
  // request.
  if (status >= 500 || status == 408) return Verdict::retry;
  return Verdict::refused;
}

// WMF's VCL says 204 for every purge, and only the reason tells that the host is not served here.
AttemptResult good_result(const Answer& answer) {
  if (answer.status == 404) return AttemptResult::absent;
  return answer.status == 204 && answer.filtered ? AttemptResult::filtered : AttemptResult::purged;
}

// An outcome that leaves the delivery's counts as they are.
Outcome outcome_of(const Delivery& delivery, AttemptResult result) {
  Outcome outcome;
  outcome.result = result;
  outcome.set_marks(delivery);
  return outcome;
}

template <class Count>
Count one_more(Count count) {
  return count == std::numeric_limits<Count>::max() ? count : static_cast<Count>(count + 1);
}

}  // namespace

// The one place where outcomes leave dispatch.
void Target::report(const Delivery& delivery, const Outcome& outcome) {
  CHECK(is_good(outcome.result) || is_dead(outcome.result) ||
        outcome.result == AttemptResult::unanswered || outcome.not_before > MonoTime{});
  ++metrics_.results[static_cast<std::size_t>(outcome.result)];
  seams_.sink.on_outcome(delivery.id, outcome);
}

void Target::judge(const Connection::InFlight& done, MonoTime now) {
  CHECK(in_flight_ > 0);
  --in_flight_;
  CHECK(done.delivery.target == spec_.id);
  const Answer& answer = done.answer;
  Delivery delivery = done.delivery;
  metrics_.attempt.record(now - done.taken);
  ++metrics_.statuses[status_index(answer.status)];
  delivery.alone = false;  // whatever the answer: it makes nobody close
  delivery.lonely = 0;
  switch (verdict(answer.status)) {
    case Verdict::good: {
      good(answer, !delivery.probe);
      Outcome outcome = outcome_of(delivery, good_result(answer));
      outcome.status = answer.status;
      report(delivery, outcome);
      return;
    }
    case Verdict::retry:
      judge_retry(delivery, answer.status, now);
      failed("answers with errors", answer.status, now);
      return;
    case Verdict::denied:
      judge_denied(delivery, answer.status, now);
      return;
    case Verdict::refused: {
      Outcome outcome = outcome_of(delivery, AttemptResult::refused);
      outcome.status = answer.status;
      // It says nothing about other URLs: neither good nor bad for the target, and no reason to
      // wait long.
      if (probing()) next_probe_ = now + options_.backoff_initial;
      report(delivery, outcome);
      return;
    }
  }
}

// A failure counts against the delivery only when the target has answered another one well since
// the one before: then it is this URL, and not the target. So no outage ends in dead letters,
// however long it is.
void Target::judge_retry(const Delivery& delivery, std::uint16_t status, MonoTime now) {
  const bool others_do_well = mark() != delivery.good_then;
  Outcome outcome = outcome_of(delivery, AttemptResult::retry);
  outcome.status = status;
  outcome.good_then = mark();
  if (delivery.attempts == 0 || others_do_well) outcome.attempts = one_more(delivery.attempts);
  if (outcome.attempts >= spec_.max_attempts && others_do_well) {
    outcome.result = AttemptResult::exhausted;
  } else {
    outcome.not_before = now + backoff(outcome.attempts);
  }
  report(delivery, outcome);
}

// Whether the target's ACL is wrong or this URL is meant, only other answers can tell. It is the
// URL when others were answered well between two of its denials; not while the target denies
// everybody.
void Target::judge_denied(const Delivery& delivery, std::uint16_t status, MonoTime now) {
  denials_ = one_more(denials_);
  Outcome outcome = outcome_of(delivery, AttemptResult::denied);
  outcome.status = status;
  if (delivery.denials > 0 && mark() != delivery.good_then && !probing()) {
    outcome.result = AttemptResult::refused;
    report(delivery, outcome);
    return;
  }
  if (delivery.denials == 0 || probing()) outcome.good_then = mark();
  outcome.denials = one_more(delivery.denials);
  outcome.not_before = now + options_.denied_probe;
  if (probing() || denials_ >= kDenialsToDeny || in_flight_ == 0) {
    failures_ = 0;  // it answers
    next_probe_ = now + options_.denied_probe;
    enter(TargetState::denied, "denies purges", status);
  }
  report(delivery, outcome);
}

// It was alone on a connection that the cache closed without an answer. That speaks against it when
// the cache has answered somebody well since its last try: another delivery, or a probe, which
// takes the same way. So neither a cache that restarts behind a proxy, which accepts and closes,
// makes a dead letter of it, nor does the last URL of a quiet target go on for ever.
void Target::judge_lonely(const Delivery& delivery, MonoTime now) {
  const bool others_do_well = alive_ != delivery.alive_then;
  Outcome outcome = outcome_of(delivery, AttemptResult::retry);
  outcome.alone = true;
  outcome.alive_then = alive_;
  if (others_do_well) outcome.lonely = one_more(delivery.lonely);
  if (outcome.lonely >= kLonelyTries)
    outcome.result = AttemptResult::poison;
  else
    outcome.not_before = now + backoff(std::uint32_t{outcome.lonely} + 1);
  report(delivery, outcome);
}

// The first delivery without an answer failed; those behind it did nothing.
void Target::break_off(Connection& connection, LinkError error, MonoTime now) {
  count_error(error);
  const bool seen = connection.handed() > 0;
  if (!seen) {  // an answer that nobody asked for
    give_back(connection, 0, false);
  } else {
    const Delivery first = connection.at(0).delivery;
    give_back(connection, 1, false);
    CHECK(in_flight_ > 0);
    --in_flight_;
    judge_retry(first, 0, now);
  }
  failed(error == LinkError::malformed ? "sends malformed answers" : "does not answer in time", 0,
         now);
}

// `suspect`: the first one may have made the cache close, so it is sent alone next time. It gets a
// mark of the good answers so far, against which its lonely tries are judged.
void Target::give_back(Connection& connection, std::size_t from, bool suspect) {
  CHECK(!connection.has_answer());
  CHECK(!suspect || (from == 0 && connection.handed() > 0));
  for (std::size_t i = connection.in_flight(); i-- > from;) {
    const Delivery& delivery = connection.at(i).delivery;
    Outcome outcome = outcome_of(delivery, AttemptResult::unanswered);
    if (suspect && i == 0) {
      outcome.alone = true;
      outcome.alive_then = alive_;
    }
    CHECK(in_flight_ > 0);
    --in_flight_;
    report(delivery, outcome);
  }
  connection.clear();
}

// Also last first, for the same reason.
void Target::release_held() {
  for (std::size_t i = held_.size(); i-- > 0;) {
    report(held_[i].delivery, outcome_of(held_[i].delivery, AttemptResult::unanswered));
  }
  held_.clear();
}

// One good answer ends every suspicion against the target.
// A probe shows that the target answers. It is no evidence against what other URLs are answered:
// who answers it may be a router in front of a cache that is down.
void Target::good(const Answer& answer, bool evidence) {
  CHECK(answer.status >= 200);
  if (spec_.proof) judge_proof(answer.proof);
  ++alive_;
  if (evidence) ++good_;
  failures_ = denials_ = probes_ = 0;
  next_probe_ = connect_not_before_ = MonoTime::min();
  enter(TargetState::up, "answers well", answer.status);
}

// The first answer decides, because a quiet target may give no other for a long time. After a proof
// it takes some without: behind one address there may be caches that are set up differently.
void Target::judge_proof(bool proof) {
  ever_proven_ = ever_proven_ || proof;
  without_proof_ = proof ? 0 : one_more(without_proof_);
  const bool unproven = without_proof_ >= (ever_proven_ ? kUnprovenInARow : 1);
  if (unproven == unproven_) return;
  unproven_ = unproven;
  if (listener_ != nullptr) listener_->on_target_proof(spec_.id, unproven_);
}

// One failure of the target, whether or not it counts against a delivery.
void Target::failed(std::string_view why, std::uint16_t status, MonoTime now) {
  CHECK(!why.empty());
  failures_ = one_more(failures_);
  if (state_ == TargetState::denied) next_probe_ = now + options_.denied_probe;
  if (state_ != TargetState::down && failures_ >= kFailuresToOpen)
    enter(TargetState::down, why, status);
  if (state_ == TargetState::down) {
    probes_ = one_more(probes_);
    next_probe_ = now + backoff(probes_);
  }
}

void Target::enter(TargetState next, std::string_view why, std::uint16_t status) {
  if (next == state_) return;
  const TargetState from = std::exchange(state_, next);
  CHECK(next != TargetState::unknown);
  if (probing()) {
    probes_ = 0;
    release_held();  // the queue keeps its order, and the next probe is what is first there
  }
  if (listener_ == nullptr) return;
  std::string text(why);
  if (status != 0) text += " (HTTP " + std::to_string(status) + ")";
  listener_->on_target_state(spec_.id, from, next, text);
}

// Doubles with each failure; half of it is chance, so that many who failed together do not return
// together.
Duration Target::backoff(std::uint32_t failures) {
  CHECK(options_.backoff_initial <= options_.backoff_max);
  Duration delay = options_.backoff_initial;
  for (std::uint32_t i = 1; i < failures && delay < options_.backoff_max; ++i) delay *= 2;
  delay = std::min(delay, options_.backoff_max);
  const auto half = static_cast<std::uint64_t>(delay.count() / 2);
  return Duration(static_cast<std::int64_t>(half + seams_.random.below(half + 1)));
}

}  // namespace purgeline
