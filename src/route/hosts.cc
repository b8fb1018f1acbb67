#include "route/hosts.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <utility>

#include "purgeline/host_pattern.h"

namespace purgeline {
namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using Texts = std::unordered_set<std::string, TextHash, std::equal_to<>>;

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.back() == ']') return host;
  return host.substr(0, colon);
}

}  // namespace

struct HostMatcher::List {
  Texts exact;
  Texts suffixes;  // with their leading dot
  std::unique_ptr<RE2::Set> expressions;

  [[nodiscard]] bool empty() const { return exact.empty() && suffixes.empty() && !expressions; }
  [[nodiscard]] bool matches(std::string_view host) const {
    if (exact.find(host) != exact.end()) return true;
    if (!suffixes.empty()) {
      for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
           dot = host.find('.', dot + 1)) {
        if (dot > 0 && suffixes.find(host.substr(dot)) != suffixes.end()) return true;
      }
    }
    return expressions && expressions->Match(re2::StringPiece(host.data(), host.size()), nullptr);
  }
};

HostMatcher::HostMatcher(std::unique_ptr<List> allow, std::unique_ptr<List> deny)
    : allow_(std::move(allow)), deny_(std::move(deny)) {}
HostMatcher::HostMatcher(HostMatcher&&) noexcept = default;
HostMatcher& HostMatcher::operator=(HostMatcher&&) noexcept = default;
HostMatcher::~HostMatcher() = default;

Result<std::unique_ptr<HostMatcher::List>> HostMatcher::compile(
    std::span<const std::string> patterns, const char* name) {
  auto list = std::make_unique<List>();
  RE2::Options options;
  options.set_max_mem(kHostExpressionMemory);
  options.set_log_errors(false);
  options.set_case_sensitive(false);  // hosts arrive in lower case; the pattern need not be
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& pattern = patterns[i];
    const std::string where =
        std::string(name) + "[" + std::to_string(i) + "]: \"" + pattern + "\" ";
    auto parsed = parse_host_pattern(pattern);
    if (!parsed) return failure(Errc::invalid, where + parsed.error().detail);
    if (parsed->kind == HostPatternKind::suffix) {
      list->suffixes.insert(std::move(parsed->text));
    } else if (parsed->kind == HostPatternKind::host) {
      list->exact.insert(std::move(parsed->text));
    } else {
      if (!list->expressions) {
        list->expressions = std::make_unique<RE2::Set>(options, RE2::ANCHOR_BOTH);
      }
      std::string error;
      if (list->expressions->Add(parsed->text, &error) < 0) {
        return failure(Errc::invalid, where + refused_expression(parsed->text, error));
      }
    }
  }
  if (list->expressions && !list->expressions->Compile()) {
    return failure(Errc::invalid, std::string(name) + ": the RE2 expressions need too much memory");
  }
  return list;
}

Result<HostMatcher> HostMatcher::make(std::span<const std::string> allow,
                                      std::span<const std::string> deny) {
  auto allowed = compile(allow, "purge.hosts.allow");
  if (!allowed) return tl::unexpected(allowed.error());
  auto denied = compile(deny, "purge.hosts.deny");
  if (!denied) return tl::unexpected(denied.error());
  return HostMatcher(std::move(*allowed), std::move(*denied));
}

bool HostMatcher::allows(std::string_view host) const {
  const std::string_view name = without_port(host);
  if (!deny_->empty() && deny_->matches(name)) return false;
  return allow_->empty() || allow_->matches(name);
}

}  // namespace purgeline
