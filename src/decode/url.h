// UrlSplitter: an absolute URI into what a purge needs, without changing a byte of the request
// target.
//
// Place:  inside decode, and for URLs that a person gives.
// Thread: one per user; it owns the buffer that the result points into.
// Bound:  URIs of kMaxUri bytes.
//
// Not a general URL parser: those repair, re-encode or refuse what producers really send (raw
// UTF-8, a bar, quotes), and the cache's key depends on the bytes. What could split a request is
// refused.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "purgeline/event.h"
#include "purgeline/key.h"

namespace purgeline {

struct Url {
  std::string_view host;    // lower case, without a default port
  std::string_view target;  // begins with '/', no fragment
  Key key;
};

class UrlSplitter {
 public:
  static constexpr std::size_t kMaxUri = 8192;

  // Views in `out` are valid until the next call. The reason when the URI is refused.
  std::optional<RejectReason> split(std::string_view uri, Url& out);

 private:
  static constexpr std::size_t kMaxHost = 253 + 6;  // with ":65535"
  // host, NUL, target: in one piece, because that is what the key is made of.
  std::array<char, kMaxHost + 1 + kMaxUri + 1> buffer_;
};

}  // namespace purgeline
