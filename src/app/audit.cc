#include "app/audit.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr Duration kStampUnit = std::chrono::milliseconds(10);
constexpr Duration kLookForLate = std::chrono::seconds(1);

std::uint64_t stamp_units(MonoTime time) {
  const auto units =
      std::chrono::floor<std::chrono::duration<std::int64_t, std::centi>>(time.time_since_epoch());
  return static_cast<std::uint64_t>(units.count());
}

std::string seconds_text(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(duration.count()) * 1e-9);
  return text;
}

audit::FetchTime configured(const PurgeConfig& config, MonoTime now) {
  audit::FetchTime fetch_time;
  fetch_time.configure(config.fence.fetch_time, config.fence.fetch_time_max, now);
  return fetch_time;
}

}  // namespace

std::uint32_t version_stamp(MonoTime version) {
  return static_cast<std::uint32_t>(stamp_units(version));
}

MonoTime stamped_version(std::uint32_t stamp, MonoTime now) {
  const std::uint64_t units = stamp_units(now);
  const std::uint32_t back = static_cast<std::uint32_t>(units) - stamp;
  return MonoTime(static_cast<std::int64_t>(units - back) * kStampUnit);
}

Audit::Audit(const PurgeConfig& config, const TargetTable& targets, Transport& transport,
             Resolver& resolver, Clock& clock, Random& random, EventLog& log)
    : targets_(targets),
      transport_(transport),
      resolver_(resolver),
      clock_(clock),
      log_(log),
      fetch_time_(configured(config, clock.now())),
      auditor_(options_of(config), random),
      on_(config.audit.sample.has_value()) {
  for (const TargetSpec& spec : targets_.specs()) add(spec);
}

audit::AuditorOptions Audit::options_of(const PurgeConfig& config) const {
  audit::AuditorOptions options;
  options.sample = config.audit.sample ? config.audit.sample->millionths : 0;
  options.budget = config.audit.budget;
  options.clock_margin = config.audit.clock_margin;
  options.window = config.audit.window;
  if (const auto fetch_time = fetch_time_.in_force()) {
    options.fence = audit::FenceTimes{config.fence.origin_lag, *fetch_time, config.fence.hit_time};
  }
  return options;
}

// ---- targets that come and go

void Audit::add(const TargetSpec& target) {
  Eye& eye = eyes_[target.id.value()];
  CHECK(!eye.link);
  eye = Eye{};
  eye.link = std::make_unique<AuditLink>(target, transport_, resolver_, touched_);
}

void Audit::alter(const TargetSpec& target) {
  eyes_[target.id.value()].link->alter(target);
}

void Audit::remove(TargetId target) {
  Eye& eye = eyes_[target.value()];
  eye.link->close();
  if (eye.look) auditor_.put_back(*eye.look);
  auditor_.forget(target);
  if (!eye.link->closed()) leaving_.push_back(std::move(eye.link));
  eye = Eye{};
}

void Audit::change(const PurgeConfig& config) {
  const MonoTime now = clock_.now();
  fetch_time_.configure(config.fence.fetch_time, config.fence.fetch_time_max, now);
  auditor_.change(options_of(config), now);
  on_ = config.audit.sample.has_value();
}

// ---- answers

void Audit::on_purged(TargetId target, const KeyText& text, MonoTime version,
                      std::uint32_t attempts) {
  const Eye& eye = eyes_[target.value()];
  const MonoTime now = clock_.now();
  if (draining_ || !eye.link || blind(eye, now)) return;
  audit::Purged purged;
  purged.target = target;
  const auto& layers = targets_.layers();
  const auto layer = std::find_if(layers.begin(), layers.end(), [target](const auto& of) {
    return std::find(of.begin(), of.end(), target) != of.end();
  });
  CHECK(layer != layers.end());
  purged.layer = static_cast<std::uint8_t>(layer - layers.begin());
  purged.host = text.host;
  purged.path = text.path;
  purged.version = version;
  purged.attempts = attempts;
  auditor_.add(purged, now);
  next_ = std::min(next_, now + audit::Auditor::kFirst);
}

// ---- the loop's side

void Audit::turn(std::uint64_t purges, TargetMask may_look) {
  const MonoTime now = clock_.now();
  touched_ = false;
  forget(now);
  auditor_.grant(purges - std::exchange(granted_, purges));
  for (const TargetId target : targets_.here()) {
    Eye& eye = eyes_[target.value()];
    go_on(target, eye, now);
    if (may_start(target, may_look, now)) start(target, eye, now);
  }
  if (now >= late_at_) {
    late_at_ = now + kLookForLate;
    for (const audit::Auditor::Skipped& skipped : auditor_.skip_late(now)) {
      ++count(skipped.target, skipped.stage).looks[static_cast<std::size_t>(AuditVerdict::skipped)];
    }
  }
  std::erase_if(leaving_, [](const auto& link) { return link->closed(); });
  set_next(may_look, now);
}

bool Audit::may_start(TargetId target, TargetMask may_look, MonoTime now) const {
  const Eye& eye = eyes_[target.value()];
  const bool may = !draining_ && (may_look & mask_of(target)) != 0 && !blind(eye, now);
  return may && !eye.look && !eye.link->busy();
}

void Audit::start(TargetId target, Eye& eye, MonoTime now) {
  const auto look = auditor_.take(target, now);
  if (!look) return;
  eye.look = look->slot;
  eye.link->look(look->host, look->path);
  go_on(target, eye, now);
}

void Audit::go_on(TargetId target, Eye& eye, MonoTime now) {
  auto ended = eye.link->turn(now);
  if (!ended) return;
  CHECK(eye.look);
  if (!ended->blind.empty()) {
    auditor_.put_back(*std::exchange(eye.look, std::nullopt));
    turn_blind(target, eye, ended->blind, now);
    return;
  }
  if (ended->head && !std::exchange(eye.blind, {}).empty()) {
    log_.write(LogLevel::info, "audit sees again",
               {{"target", targets_[target].name}, {"layer", targets_[target].layer}});
  }
  conclude(target, eye, ended->head, now);
}

void Audit::conclude(TargetId target, Eye& eye, const std::optional<audit::Head>& head,
                     MonoTime now) {
  audit::Auditor::Seen seen =
      auditor_.conclude(*std::exchange(eye.look, std::nullopt), head, now, clock_.wall());
  AuditStageMetrics& metrics = count(target, seen.stage);
  ++metrics.looks[static_cast<std::size_t>(seen.verdict)];
  if (seen.verdict != AuditVerdict::stale) return;
  ++metrics.stale;
  report(target, std::move(seen.finding));
  if (seen.fetch) learn(*seen.fetch, findings_.back(), now);
}

// ---- how long a fetch may last

void Audit::learn(Duration fetch, const AuditFinding& finding, MonoTime now) {
  const auto before = fetch_time_.in_force();
  if (!fetch_time_.raise(fetch, now)) return;
  log_.write(LogLevel::warning, "fetch time raised",
             {{"from", seconds_text(*before)},
              {"to", seconds_text(*fetch_time_.in_force())},
              {"url", finding.host + finding.path},
              {"why", "a fetch of it lasted for " + seconds_text(fetch) + " s or longer"},
              {"effect", "fences of new events come later"}});
  set_fetch_time(now);
}

void Audit::forget(MonoTime now) {
  const auto before = fetch_time_.in_force();
  if (!fetch_time_.turn(now)) return;
  log_.write(LogLevel::info, "fetch time lowered",
             {{"from", seconds_text(*before)},
              {"to", seconds_text(*fetch_time_.in_force())},
              {"why", "no fetch was found to last for longer than its fence waits"}});
  set_fetch_time(now);
}

void Audit::set_fetch_time(MonoTime now) {
  auditor_.set_fetch_time(*fetch_time_.in_force(), now);
  fetch_time_changed_ = true;
}

void Audit::report(TargetId target, AuditFinding finding) {
  finding.target = targets_[target].name;
  finding.layer = targets_[target].layer;
  log_.write(LogLevel::error, "stale copy",
             {{"url", finding.host + finding.path},
              {"target", finding.target},
              {"layer", finding.layer},
              {"stage", audit_stage_name(finding.stage)},
              {"date_before_change", seconds_text(finding.changed - finding.date)},
              {"age", seconds_text(finding.age)},
              {"failed_attempts", std::to_string(finding.attempts)},
              {"before", finding.before},
              {"effect", "purged again on all layers"}});
  if (again_.size() < kMostAgain) again_.push_back({finding.host, finding.path});
  if (findings_.size() == audit::Auditor::kMostFindings) findings_.pop_front();
  findings_.push_back(std::move(finding));
  ++findings_ever_;
}

void Audit::turn_blind(TargetId target, Eye& eye, const std::string& why, MonoTime now) {
  eye.blind_until = now + kBlind;
  if (eye.blind == why) return;  // told already
  eye.blind = why;
  log_.write(LogLevel::warning, "audit blind",
             {{"target", targets_[target].name},
              {"layer", targets_[target].layer},
              {"why", why},
              {"effect", "its purges are not looked at again"}});
}

// A target that may not be looked at has looks that are due all the time; those that are late are
// looked for now and then.
void Audit::set_next(TargetMask may_look, MonoTime now) {
  next_ = auditor_.open() > 0 ? now + kLookForLate : MonoTime::max();
  next_ = std::min(next_, fetch_time_.next_due());
  for (const TargetId target : targets_.here()) {
    const Eye& eye = eyes_[target.value()];
    next_ = std::min(next_, eye.link->next_due());
    if (may_start(target, may_look, now)) next_ = std::min(next_, auditor_.next_due(target, now));
  }
}

std::optional<Audit::Again> Audit::take_again() {
  if (again_.empty()) return std::nullopt;
  Again first = std::move(again_.front());
  again_.pop_front();
  ++metrics_.purged_again;
  return first;
}

void Audit::drain() {
  draining_ = true;
  again_.clear();
  for (Eye& eye : eyes_) {
    if (!eye.link) continue;
    eye.link->close();
    if (eye.look) auditor_.put_back(*std::exchange(eye.look, std::nullopt));
  }
}

bool Audit::idle() const {
  return leaving_.empty() && std::all_of(eyes_.begin(), eyes_.end(), [](const Eye& eye) {
           return !eye.link || eye.link->closed();
         });
}

// ---- what is known

AuditStageMetrics& Audit::count(TargetId target, AuditStage stage) {
  return stages_[targets_[target].layer][static_cast<std::size_t>(stage)];
}

void Audit::snapshot(MetricsSnapshot& out) {
  out.audit.reset();
  out.audit_ratio.reset();
  out.audit_stages.clear();
  out.audited.clear();
  if (!on_ && stages_.empty()) return;
  const MonoTime now = clock_.now();
  metrics_.open = static_cast<double>(auditor_.open());
  metrics_.sampled = auditor_.sampled();
  metrics_.passed_over = auditor_.passed_over();
  metrics_.blind = 0;
  for (const TargetId id : targets_.here()) {
    static_cast<void>(stages_[targets_[id].layer]);  // shown with zeros from the start
    const Eye& eye = eyes_[id.value()];
    AuditedTarget row{targets_[id].layer, targets_[id].name, "", eye.blind};
    if (eye.link->kind() == AuditLink::Kind::vcl_probe) row.how = "shipped VCL";
    if (eye.link->kind() == AuditLink::Kind::only_if_cached) row.how = "only-if-cached";
    if (!eye.blind.empty()) ++metrics_.blind;
    out.audited.push_back(std::move(row));
  }
  out.audit = metrics_;
  if (const auto ratio = auditor_.ratio(now)) out.audit_ratio = AuditRatioMetrics{*ratio};
  for (const auto& [layer, stages] : stages_) {
    for (std::size_t i = 0; i < stages.size(); ++i) {
      out.audit_stages.push_back({layer, static_cast<AuditStage>(i), stages[i]});
    }
  }
  if (out.findings_ever == findings_ever_) return;
  out.findings = std::make_shared<std::vector<AuditFinding>>(findings_.rbegin(), findings_.rend());
  out.findings_ever = findings_ever_;
}

}  // namespace purgeline
