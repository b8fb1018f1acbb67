// HostMatcher: is this host ours?
//
// Place:  inside route. Thread: any; immutable. Bound: the patterns of the configuration.
//
// A pattern is a host (`www.example.org`), a suffix (`*.example.org`: every host below it at any
// depth, not example.org itself), or an RE2 expression between slashes that must match the whole
// host. No expression can take more than linear time. Ports do not take part. Deny wins; an empty
// allow list allows all.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "purgeline/result.h"

namespace purgeline {

class HostMatcher {
 public:
  [[nodiscard]] static Result<HostMatcher> make(std::span<const std::string> allow,
                                                std::span<const std::string> deny);
  HostMatcher(HostMatcher&&) noexcept;
  HostMatcher& operator=(HostMatcher&&) noexcept;
  ~HostMatcher();

  // `host` in lower case, with or without a port.
  [[nodiscard]] bool allows(std::string_view host) const;

 private:
  struct List;
  HostMatcher(std::unique_ptr<List> allow, std::unique_ptr<List> deny);
  [[nodiscard]] static Result<std::unique_ptr<List>> compile(std::span<const std::string> patterns,
                                                             const char* name);
  std::unique_ptr<List> allow_;
  std::unique_ptr<List> deny_;
};

}  // namespace purgeline
