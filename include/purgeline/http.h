// HttpRequest and HttpResponse: what the HTTP server and those who answer have in common.
//
// The server (control/http_server) reads, limits and frames; a handler sees one whole request and
// replies once, now or later. So every handler is tested without a socket.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace purgeline {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string target;  // as it stood in the request line: origin form or absolute form
  HttpFields fields;   // as sent, in order
  std::string body;
  // It came over a listener that only this host's users reach: loopback or a Unix socket.
  bool local{false};

  [[nodiscard]] std::size_t count(std::string_view name) const {
    return static_cast<std::size_t>(
        std::count_if(fields.begin(), fields.end(),
                      [name](const auto& field) { return same_name(field.first, name); }));
  }
  // The first of that name; "" when there is none.
  [[nodiscard]] std::string_view field(std::string_view name) const {
    for (const auto& field : fields) {
      if (same_name(field.first, name)) return field.second;
    }
    return {};
  }

  // Names of fields, and tokens: letters of either case are the same.
  [[nodiscard]] static bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [lower](char x, char y) { return lower(x) == lower(y); });
  }
};

struct HttpResponse {
  unsigned status{200};
  std::string content_type;  // "" without a body
  std::string body;
  HttpFields fields;
  bool close{false};  // the connection ends with this answer
};

// Called exactly once, on the server's thread.
using HttpReply = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, HttpReply)>;

}  // namespace purgeline
