// Router: which events are purged at all.
//
// Place:  after decode. Thread: the shard's. Bound: none of its own; it keeps nothing per event.
// Which targets an event goes to is the same for all of them: every target of every layer.
#pragma once

#include <optional>
#include <utility>

#include "purgeline/event.h"
#include "purgeline/types.h"
#include "route/hosts.h"

namespace purgeline {

enum class RouteVerdict : std::uint8_t { accepted, filtered, expired };

class Router {
 public:
  // `max_age`: events older than this are expired; empty: none is.
  Router(HostMatcher hosts, std::optional<Duration> max_age)
      : hosts_(std::move(hosts)), max_age_(max_age) {}

  // A changed configuration, for the events that are judged from now on.
  void change(HostMatcher hosts, std::optional<Duration> max_age) {
    hosts_ = std::move(hosts);
    max_age_ = max_age;
  }

  // An event's age is told by the later of its own time and the log's: a producer that copies the
  // time of a cause must not make a fresh event look old. Without any time it is an event of now.
  [[nodiscard]] RouteVerdict judge(const PurgeEvent& event, std::optional<WallTime> log_time,
                                   WallTime now) const {
    if (!hosts_.allows(event.host)) return RouteVerdict::filtered;
    if (!max_age_) return RouteVerdict::accepted;
    std::optional<WallTime> newest = event.dt;
    if (log_time && (!newest || *log_time > *newest)) newest = log_time;
    if (newest && now - *newest > *max_age_) return RouteVerdict::expired;
    return RouteVerdict::accepted;
  }

 private:
  HostMatcher hosts_;
  std::optional<Duration> max_age_;
};

}  // namespace purgeline
