#include "control/admin_pages.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "control/log_escape.h"
#include "purgeline/utc.h"

namespace purgeline {

namespace {

AdminResponse text(unsigned status, std::string body) {
  AdminResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

AdminResponse json(unsigned status, std::string body) {
  AdminResponse response = text(status, std::move(body));
  response.content_type = "application/json";
  return response;
}

std::string seconds(Duration duration) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f s", static_cast<double>(duration.count()) * 1e-9);
  return buffer;
}

// The shard's own checks come first in what it published; the loop's check is added here, because a
// loop that is blocked cannot publish that it is.
std::vector<ReadyCheck> ready_checks(const AdminView& view) {
  std::vector<ReadyCheck> checks{check_loop(view)};
  checks.insert(checks.end(), view.snapshot.ready.begin(), view.snapshot.ready.end());
  if (view.snapshot.ready.empty()) checks.push_back({"started", false, "nothing published yet"});
  return checks;
}

bool all_ok(const std::vector<ReadyCheck>& checks) {
  return std::all_of(checks.begin(), checks.end(),
                     [](const ReadyCheck& check) { return check.ok; });
}

AdminResponse metrics_page(const AdminView& view) {
  AdminResponse response =
      text(200, render_metrics(view.snapshot, view.process, view.build, view.compat));
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

AdminResponse health_page(const AdminView& view) {
  const ReadyCheck loop = check_loop(view);
  return loop.ok ? text(200, "ok\n") : text(503, loop.detail + "\n");
}

AdminResponse ready_page(const AdminView& view) {
  const std::vector<ReadyCheck> checks = ready_checks(view);
  const bool ready = all_ok(checks);
  std::string body = ready ? "{\"ready\":true,\"checks\":[" : "{\"ready\":false,\"checks\":[";
  for (const ReadyCheck& check : checks) {
    body += &check == checks.data() ? "\n  {\"name\":" : ",\n  {\"name\":";
    append_json_string(body, check.name);
    body += check.ok ? ",\"ok\":true,\"detail\":" : ",\"ok\":false,\"detail\":";
    append_json_string(body, check.detail);
    body += '}';
  }
  body += "\n]}\n";
  return json(ready ? 200 : 503, std::move(body));
}

AdminResponse rejects_page(const AdminView& view) {
  static const std::vector<RefusedInput> kNone;
  const auto& list = view.snapshot.refused ? *view.snapshot.refused : kNone;
  std::string body = "{\"refused\":" + std::to_string(view.snapshot.refused_ever) + ",\"newest\":[";
  for (const RefusedInput& one : list) {
    body += &one == list.data() ? "\n  {\"reason\":" : ",\n  {\"reason\":";
    append_json_string(body, reject_reason_name(one.reason));
    body += ",\"topic\":";
    append_json_string(body, one.partition.topic);
    body += ",\"partition\":" + std::to_string(one.partition.partition);
    body += ",\"offset\":" + std::to_string(one.offset.value());
    body += ",\"time\":\"" + utc_text(one.at, Fraction::milliseconds) +
            "\",\"bytes\":" + std::to_string(one.size);
    body += ",\"begins\":";
    append_json_string(body, one.text);
    body += '}';
  }
  body += "\n]}\n";
  return json(200, std::move(body));
}

void append_string(std::string& body, const char* key, std::string_view value) {
  body += body.back() == '{' ? "\"" : ",\"";
  body.append(key).append("\":");
  append_json_string(body, value);
}

void append_finding(std::string& body, const AuditFinding& one) {
  body += '{';
  append_string(body, "time", utc_text(one.at, Fraction::milliseconds));
  append_string(body, "url", one.host + one.path);
  append_string(body, "layer", one.layer);
  append_string(body, "target", one.target);
  append_string(body, "stage", audit_stage_name(one.stage));
  append_string(body, "changed_before", utc_text(one.changed, Fraction::milliseconds));
  append_string(body, "purged", utc_text(one.purged, Fraction::milliseconds));
  body += ",\"failed_attempts\":" + std::to_string(one.attempts);
  append_string(body, "copy_date", utc_text(one.date, Fraction::milliseconds));
  char age[48];
  std::snprintf(age, sizeof age, ",\"copy_age\":%.3f", static_cast<double>(one.age.count()) * 1e-9);
  body += age;
  append_string(body, "before", one.before);
  body += '}';
}

AdminResponse audit_page(const AdminView& view) {
  static const std::vector<AuditFinding> kNone;
  const auto& list = view.snapshot.findings ? *view.snapshot.findings : kNone;
  std::string body = view.snapshot.audit ? "{\"on\":true" : "{\"on\":false";
  body += ",\"consistency_ratio\":";
  body += view.snapshot.audit_ratio ? std::to_string(view.snapshot.audit_ratio->ratio) : "null";
  char fetch_time[48];
  std::snprintf(fetch_time, sizeof fetch_time, ",\"fetch_time\":%.3f",
                view.snapshot.shard.fetch_time);
  body += fetch_time;
  body += ",\"targets\":[";
  for (const AuditedTarget& target : view.snapshot.audited) {
    body += &target == view.snapshot.audited.data() ? "\n  {" : ",\n  {";
    append_string(body, "layer", target.layer);
    append_string(body, "target", target.target);
    body += target.blind.empty() ? ",\"looked_at\":true" : ",\"looked_at\":false";
    append_string(body, "how", target.how);
    append_string(body, "why_not", target.blind);
    body += '}';
  }
  body += "\n],\"stale\":" + std::to_string(view.snapshot.findings_ever) + ",\"newest\":[";
  for (const AuditFinding& one : list) {
    body += &one == list.data() ? "\n  " : ",\n  ";
    append_finding(body, one);
  }
  body += "\n]}\n";
  return json(200, std::move(body));
}

AdminResponse index_page(const AdminView& view) {
  return text(200, "purgeline " + view.build.version +
                       "\n\n"
                       "/metrics  Prometheus text\n"
                       "/healthz  200 while the loop turns\n"
                       "/readyz   200 when purges flow; JSON with each check\n"
                       "/rejects  the last inputs that were no valid events, newest first; JSON\n"
                       "/audit    what was found looking at finished purges again; JSON\n");
}

}  // namespace

ReadyCheck check_loop(const AdminView& view) {
  // Before its first turn the shard opens files and rings; that is starting, not being blocked.
  if (!view.started) return {"loop", true, "starting"};
  if (view.overdue > view.blocked_after) {
    return {"loop", false, "the loop has not turned for " + seconds(view.overdue)};
  }
  return {"loop", true, "turning"};
}

std::string status_line(const AdminView& view) {
  std::string line;
  for (const ReadyCheck& check : ready_checks(view)) {
    if (check.ok) continue;
    line += (line.empty() ? "not ready: " : ", ") + check.name + " (" + check.detail + ")";
  }
  if (line.empty()) line = "ready";
  double lag = 0;
  for (const auto& partition : view.snapshot.partitions) {
    lag = std::max(lag, partition.metrics.lag_seconds);
  }
  const auto& targets = view.snapshot.targets;
  const auto up = std::count_if(targets.begin(), targets.end(),
                                [](const auto& target) { return target.state == TargetState::up; });
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "; lag %.1f s; %zu of %zu targets up", lag,
                static_cast<std::size_t>(up), targets.size());
  line += numbers;
  // The supervisor's protocol is lines: one that came in from a detail would be a command.
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

AdminResponse admin_page(const AdminRequest& request, const AdminView& view) {
  if (request.method != "GET" && request.method != "HEAD") {
    AdminResponse response = text(405, "only GET and HEAD are answered here\n");
    response.allow = "GET, HEAD";
    return response;
  }
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  if (path == "/metrics") return metrics_page(view);
  if (path == "/healthz") return health_page(view);
  if (path == "/readyz") return ready_page(view);
  if (path == "/rejects") return rejects_page(view);
  if (path == "/audit") return audit_page(view);
  if (path == "/") return index_page(view);
  return text(404, "no such page; / lists those there are\n");
}

}  // namespace purgeline
