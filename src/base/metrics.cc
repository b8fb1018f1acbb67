#include "purgeline/metrics.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

const char* coalesce_how_name(CoalesceHow how) {
  static constexpr std::array<const char*, kCoalesceHow> names{"opened", "joined_waiting",
                                                               "joined_in_flight", "covered"};
  const auto at = static_cast<std::size_t>(how);
  CHECK(at < names.size());
  return names[at];
}

const char* fence_how_name(FenceHow how) {
  static constexpr std::array<const char*, kFenceHow> names{"registered", "shared", "unregistered"};
  const auto at = static_cast<std::size_t>(how);
  CHECK(at < names.size());
  return names[at];
}

const char* fence_purge_name(FencePurge how) {
  static constexpr std::array<const char*, kFencePurges> names{"sent", "served"};
  const auto at = static_cast<std::size_t>(how);
  CHECK(at < names.size());
  return names[at];
}

std::size_t status_index(std::uint16_t status) {
  const auto* found = std::find(kCountedStatuses.begin(), kCountedStatuses.end(), status);
  return static_cast<std::size_t>(found - kCountedStatuses.begin());
}

const char* status_name(std::size_t index) {
  static constexpr std::array<const char*, kStatuses> names{"200", "204", "400", "403", "404",
                                                            "405", "408", "413", "414", "429",
                                                            "500", "501", "502", "503", "other"};
  CHECK(index < names.size());
  return names[index];
}

const char* link_error_name(LinkError error) {
  static constexpr std::array<const char*, kLinkErrors> names{
      "refused", "timed_out", "closed", "reset", "malformed", "resolve", "other"};
  const auto at = static_cast<std::size_t>(error);
  CHECK(at < names.size());
  return names[at];
}

}  // namespace purgeline
