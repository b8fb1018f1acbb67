// The pages of the admin address, as pure functions of what is known at the moment.
//
// Place:  control_thread collects an AdminView for each request; admin_server does the HTTP.
// Thread: any.
// Bound:  the size of a page is that of the metrics (metrics_text.h).
#pragma once

#include <string>
#include <string_view>

#include "control/metrics_text.h"
#include "purgeline/config.h"
#include "purgeline/metrics.h"

namespace purgeline {

struct AdminRequest {
  std::string_view method;
  std::string_view target;  // as received, with its query
};

struct AdminResponse {
  unsigned status{200};
  std::string content_type{"text/plain; charset=utf-8"};
  std::string body;
  std::string allow;  // the Allow header; empty for none
};

struct AdminView {
  const MetricsSnapshot& snapshot;
  const ProcessMetrics& process;
  const BuildInfo& build;
  MetricsCompat compat{};
  bool started{false};       // the shard's loop has turned at least once
  Duration overdue{};        // how long its next turn has been due
  Duration blocked_after{};  // from which on it counts as blocked
};

[[nodiscard]] AdminResponse admin_page(const AdminRequest& request, const AdminView& view);

// Whether the shard's loop turns: /healthz and the watchdog use the same condition.
[[nodiscard]] ReadyCheck check_loop(const AdminView& view);
// One line for people: "ready; lag 0.2 s; 3 of 4 targets up", or what is missing.
[[nodiscard]] std::string status_line(const AdminView& view);

}  // namespace purgeline
