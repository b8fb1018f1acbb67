// HeaderScanner: where a request's header ends, and whether everybody would agree on it.
//
// Place:  in the HTTP server, before the parser. A parser that forgives what another one does not
// is
//         how one request is smuggled inside another; what is refused here is what parsers differ
//         in.
// Thread: its connection's.
// Bound:  none of its own: the server bounds the header.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace purgeline {

class HeaderScanner {
 public:
  enum class State { more, complete, bad };

  // `bytes`: all that was received of this request so far. Looks at what is new only.
  State scan(std::string_view bytes);
  [[nodiscard]] const std::string& problem() const { return problem_; }  // when bad

 private:
  [[nodiscard]] bool check_line(std::string_view line);
  [[nodiscard]] bool check_field(std::string_view name, std::string_view value);
  [[nodiscard]] bool check_end();
  bool bad(std::string problem);

  std::size_t line_begin_{0};
  std::size_t scanned_{0};
  std::size_t lines_{0};
  unsigned lengths_{0};
  unsigned encodings_{0};
  unsigned hosts_{0};
  bool old_version_{false};
  std::string problem_;
};

}  // namespace purgeline
