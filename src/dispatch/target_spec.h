// What a Target is made from: its place in the configuration, the limits, and the seams it acts
// through.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dispatch/http1.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/delivery.h"
#include "purgeline/resolver.h"
#include "purgeline/transport.h"

namespace purgeline {

struct TargetSpec {
  TargetId id;
  LayerId layer;
  Endpoint endpoint;
  std::uint32_t connections{4};
  std::uint32_t depth{64};
  Duration connect_timeout{std::chrono::seconds(2)};
  Duration request_timeout{std::chrono::seconds(10)};
  std::uint16_t max_attempts{10};
  bool proof{true};  // whether its answers are looked at for who made them
};

struct DispatchOptions {
  Duration backoff_initial{std::chrono::milliseconds(100)};
  Duration backoff_max{std::chrono::seconds(5)};
  Duration denied_probe{std::chrono::seconds(1)};  // between the probes of a target that denies
  std::string user_agent{default_user_agent()};
};

// Told of every change of a target's state, within Dispatcher::turn(), for log and readiness.
class TargetListener {
 public:
  virtual ~TargetListener() = default;
  virtual void on_target_state(TargetId target, TargetState from, TargetState to,
                               std::string_view why) = 0;
  // The good answers of a target do not show any more that a cache made them, or do again.
  virtual void on_target_proof(TargetId target, bool unproven) = 0;
};

struct DispatchSeams {
  Transport& transport;
  Resolver& resolver;
  Clock& clock;
  Random& random;
  DeliveryQueue& queue;
  OutcomeSink& sink;
};

}  // namespace purgeline
