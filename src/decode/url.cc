#include "decode/url.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "purgeline/check.h"
#include "purgeline/ip.h"

namespace purgeline {
namespace {

enum class Scheme { http, https, none };

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool takes_prefix(std::string_view& text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    if (lower(text[i]) != prefix[i]) return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<Scheme> take_scheme(std::string_view& text) {
  if (takes_prefix(text, "https://")) return Scheme::https;
  if (takes_prefix(text, "http://")) return Scheme::http;
  if (takes_prefix(text, "//")) return Scheme::none;
  return std::nullopt;
}

constexpr std::uint64_t kEach = 0x0101010101010101;  // times a byte: that byte eight times

// Whether one of eight bytes is at most 0x20, or 0x7F. Taking 0x21 from a byte sets its highest bit
// when the byte was less, and when that bit was set before; 0x7F is found as a zero after the xor.
bool has_control_or_space(std::uint64_t bytes) {
  const std::uint64_t deletes = bytes ^ (kEach * 0x7F);
  const std::uint64_t low = (bytes - kEach * 0x21) & ~bytes;
  return ((low | ((deletes - kEach) & ~deletes)) & (kEach * 0x80)) != 0;
}

bool has_control_or_space(std::string_view text) {
  std::uint64_t bytes = 0;
  for (; text.size() >= sizeof bytes; text.remove_prefix(sizeof bytes)) {
    std::memcpy(&bytes, text.data(), sizeof bytes);
    if (has_control_or_space(bytes)) return true;
  }
  bytes = kEach * 'a';
  if (!text.empty()) std::memcpy(&bytes, text.data(), text.size());
  return has_control_or_space(bytes);
}

// Where the authority ends: at '/', '?' or '#', or at the end. find_first_of would call memchr for
// each letter.
std::size_t end_of_authority(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && text[end] != '/' && text[end] != '?' && text[end] != '#') ++end;
  return end;
}

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool is_ipv6(std::string_view literal) {
  return literal.find(':') != std::string_view::npos && parse_ip(literal);
}

bool is_default(Scheme scheme, unsigned port) {
  switch (scheme) {
    case Scheme::http:
      return port == 80;
    case Scheme::https:
      return port == 443;
    case Scheme::none:
      return port == 80 || port == 443;
  }
  return false;
}

// Cuts the host, with brackets, off the front of the authority; what is left is ":port" or nothing.
std::optional<std::string_view> take_host(std::string_view& authority) {
  std::size_t end = 0;
  if (!authority.empty() && authority.front() == '[') {
    end = authority.find(']');
    if (end == std::string_view::npos || !is_ipv6(authority.substr(1, end - 1)))
      return std::nullopt;
    ++end;
  } else {
    while (end < authority.size() && is_host_char(authority[end])) ++end;
  }
  if (end == 0 || end > 253) return std::nullopt;
  if (end < authority.size() && authority[end] != ':') return std::nullopt;
  const std::string_view host = authority.substr(0, end);
  authority.remove_prefix(end);
  return host;
}

// ":" and digits, or nothing. Zero for nothing: an empty port means the default.
std::optional<unsigned> port_of(std::string_view text) {
  if (text.empty() || text == ":") return 0;
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 1, end, port);
  if (error != std::errc{} || stop != end || port == 0 || port > 65535) return std::nullopt;
  return port;
}

}  // namespace

std::optional<RejectReason> UrlSplitter::split(std::string_view uri, Url& out) {
  if (uri.size() > kMaxUri) return RejectReason::too_long;
  if (uri.empty()) return RejectReason::no_uri;
  if (has_control_or_space(uri)) return RejectReason::bad_character;
  const auto scheme = take_scheme(uri);
  if (!scheme) return RejectReason::bad_scheme;

  const std::size_t authority_end = end_of_authority(uri);
  std::string_view authority = uri.substr(0, authority_end);
  std::string_view target = uri.substr(authority_end);
  if (authority.find('@') != std::string_view::npos) return RejectReason::user_info;
  const auto host = take_host(authority);
  if (!host) return RejectReason::bad_host;
  const auto port = port_of(authority);
  if (!port) return RejectReason::bad_port;
  target = target.substr(0, target.find('#'));

  char* at = std::transform(host->begin(), host->end(), buffer_.data(), lower);
  if (*port != 0 && !is_default(*scheme, *port)) {
    *at++ = ':';
    at = std::to_chars(at, at + 5, *port).ptr;
  }
  out.host = {buffer_.data(), static_cast<std::size_t>(at - buffer_.data())};
  *at++ = '\0';
  char* const target_begin = at;
  if (target.empty() || target.front() != '/') *at++ = '/';
  if (!target.empty()) std::memcpy(at, target.data(), target.size());
  at += target.size();
  CHECK(at <= buffer_.data() + buffer_.size());
  out.target = {target_begin, static_cast<std::size_t>(at - target_begin)};
  const XXH128_hash_t hash =
      XXH3_128bits(buffer_.data(), static_cast<std::size_t>(at - buffer_.data()));
  out.key = Key{hash.high64, hash.low64};
  return std::nullopt;
}

}  // namespace purgeline
