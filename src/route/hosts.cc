#include "route/hosts.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <utility>

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

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

bool is_plain_host(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return text.find_first_not_of("0123456789abcdef:.", 1) == text.size() - 1;
  }
  return !text.empty() && text.front() != '.' && text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
                  c == '_';
         });
}

// A pattern with a port would match nothing, since ports do not take part: say so.
bool has_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  return colon != std::string_view::npos && colon + 1 < text.size() &&
         text.find_first_not_of("0123456789", colon + 1) == std::string_view::npos &&
         is_plain_host(text.substr(0, colon));
}

std::string what_is_wrong(const std::string& expression, const std::string& re2_says) {
  std::string text = "/" + expression + "/ is no RE2 expression: " + re2_says;
  if (expression.find("(?=") != std::string::npos || expression.find("(?!") != std::string::npos ||
      expression.find("(?<") != std::string::npos) {
    text += "; RE2 has no look-around: put what must not match into the other list";
  }
  return text;
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
  options.set_max_mem(8 << 20);
  options.set_log_errors(false);
  options.set_case_sensitive(false);  // hosts arrive in lower case; the pattern need not be
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& pattern = patterns[i];
    const std::string where = std::string(name) + "[" + std::to_string(i) + "]: ";
    if (pattern.size() > 2 && pattern.front() == '/' && pattern.back() == '/') {
      if (!list->expressions) {
        list->expressions = std::make_unique<RE2::Set>(options, RE2::ANCHOR_BOTH);
      }
      const std::string expression = pattern.substr(1, pattern.size() - 2);
      std::string error;
      if (list->expressions->Add(expression, &error) < 0) {
        return failure(Errc::invalid, where + what_is_wrong(expression, error));
      }
      continue;
    }
    const std::string text = lower(pattern);
    if (text.rfind("*.", 0) == 0 && is_plain_host(std::string_view(text).substr(2))) {
      list->suffixes.insert(text.substr(1));
    } else if (is_plain_host(text)) {
      list->exact.insert(text);
    } else if (has_port(text)) {
      return failure(Errc::invalid, where + "\"" + pattern +
                                        "\" has a port, and ports do not take part: leave it out");
    } else {
      return failure(Errc::invalid, where + "\"" + pattern +
                                        "\" is neither a host, nor *.suffix, nor /RE2 expression/");
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
