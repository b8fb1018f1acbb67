#include "sim/sim_stores.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::sim {

using std::chrono::milliseconds;

SimDeadLetters::SimDeadLetters(LetterDisk& disk, SimClock& clock, Agenda& agenda,
                               test::FakeRandom& random, Faults& faults,
                               std::function<void()> crash_point)
    : disk_(disk),
      clock_(clock),
      agenda_(agenda),
      random_(random),
      faults_(faults),
      crash_point_(std::move(crash_point)) {}

bool SimDeadLetters::put(std::uint64_t ticket, const DeadLetter& letter) {
  crash_point_();
  if (waiting_.size() >= 8) return false;
  if (faults_.hit(Fault::letter_queue)) {
    agenda_.at(clock_.now() + milliseconds(1), [] {});  // ends the sleep, as an answer would
    return false;
  }
  const MonoTime due = clock_.now() + milliseconds(1 + random_.below(3000));
  waiting_.push_back({ticket, letter, due});
  agenda_.at(due, [] {});
  return true;
}

void SimDeadLetters::poll() {
  if (!waiting_.empty() && disk_.full != trouble_) {
    trouble_ = disk_.full;
    if (trouble_) listener_->on_dead_letter_trouble("no space left on the simulated disk");
  }
  while (!waiting_.empty() && !disk_.full && waiting_.front().due <= clock_.now()) {
    const Waiting kept = waiting_.front();
    disk_.letters.push_back({kept.letter, clock_.now()});
    crash_point_();  // on disk, and nobody knows
    waiting_.pop_front();
    listener_->on_dead_letter_kept(kept.ticket);
  }
}

WatchedStore::WatchedStore(OffsetStore& inner, Fault refused, SimClock& clock, Agenda& agenda,
                           test::FakeRandom& random, Faults& faults, Watch watch)
    : inner_(inner),
      refused_(refused),
      clock_(clock),
      agenda_(agenda),
      random_(random),
      faults_(faults),
      watch_(std::move(watch)) {}

void WatchedStore::start(OffsetStoreListener& listener) {
  listener_ = &listener;
  inner_.start(listener);
}

void WatchedStore::load(PartitionId partition, const PartitionName& name) {
  inner_.load(partition, name);
}

void WatchedStore::commit(std::span<const Commit> commits) {
  for (const Commit& one : commits) watch_(one);
  Held held{clock_.now(), {commits.begin(), commits.end()}, faults_.hit(refused_)};
  if (faults_.hit(Fault::commit_late)) {
    const bool very = random_.below(10) == 0 && faults_.times(Fault::topic_recreated) == 0;
    held.due += very ? kVeryLate : Duration(milliseconds(random_.below(3000)));
  }
  if (!held_.empty()) held.due = std::max(held.due, held_.back().due);
  agenda_.at(held.due, [] {});
  held_.push_back(std::move(held));
}

void WatchedStore::poll() {
  while (!held_.empty() && held_.front().due <= clock_.now()) {
    const Held held = std::move(held_.front());
    held_.pop_front();
    if (!held.refused) {
      inner_.commit(held.commits);
      continue;
    }
    for (const Commit& one : held.commits) {
      listener_->on_committed(one.partition, one.position.offset,
                              failure(Errc::unavailable, "the simulated store refuses"));
    }
  }
  inner_.poll();
}

void SimResolver::resolve(std::string, std::uint16_t port, ResolveHandler& handler) {
  if (faults_.hit(Fault::name_silent)) return;
  const MonoTime due = clock_.now() + milliseconds(1 + random_.below(30));
  questions_.push_back({&handler, port, due});
  agenda_.at(due, [] {});
}

void SimResolver::cancel(ResolveHandler& handler) {
  std::erase_if(questions_, [&handler](const Question& one) { return one.handler == &handler; });
}

void SimResolver::poll() {
  for (std::size_t i = 0; i < questions_.size();) {
    if (questions_[i].due > clock_.now()) {
      ++i;
      continue;
    }
    const Question asked = questions_[i];
    questions_.erase(questions_.begin() + static_cast<std::ptrdiff_t>(i));
    if (faults_.hit(Fault::name_failure)) {
      asked.handler->on_resolved(failure(Errc::unavailable, "the simulated name service is down"));
      continue;
    }
    Address address;
    address.family = Address::Family::inet4;
    address.port = asked.port;
    address.ip = {127, 0, 0, 1};
    asked.handler->on_resolved(std::vector<Address>{address});
  }
}

}  // namespace purgeline::sim
