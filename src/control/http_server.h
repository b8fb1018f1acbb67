// HttpServer: HTTP/1.1 over TCP and Unix sockets, for the admin pages and for the intake.
//
// Place:  between the sockets and a handler that is a plain function; the one translation unit with
//         Beast.
// Thread: that of the io_context, once it runs; listen() before. Handlers run on it, and reply on
// it. Bound:  limits.connections at once over all addresses (more wait in the kernel's backlog),
// each
//         with a header of limits.header bytes, a body of limits.body, limits.idle between
//         requests, limits.request for one to arrive, limits.answer for the handler and limits.idle
//         for its answer to be taken. One request of a connection at a time: what was pipelined
//         waits.
//
// Framing is strict (http_framing.h): what is doubtful is answered 400 and the connection closed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "purgeline/config.h"
#include "purgeline/http.h"
#include "purgeline/result.h"

namespace boost::asio {
class io_context;
}

namespace purgeline {

struct HttpLimits {
  std::uint32_t header{8192};
  std::uint64_t body{0};
  std::size_t connections{64};
  Duration idle{std::chrono::seconds(5)};
  Duration request{std::chrono::seconds(5)};
  Duration answer{std::chrono::seconds(60)};
};

class HttpServer {
 public:
  // Makes the answer to what no handler sees: a header too large, a body too long, bad framing.
  using Refuse = std::function<HttpResponse(unsigned status, std::string_view reason)>;

  HttpServer(boost::asio::io_context& context, HttpHandler handler, Refuse refuse,
             HttpLimits limits);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds and listens, or says why not; the address is named in the error. A name is resolved. A
  // Unix socket that a dead process left behind is replaced, one that is in use is not. More than
  // one address may be listened on.
  [[nodiscard]] Status listen(const Endpoint& endpoint);
  // Where it listens, in the order of listen(), with the ports that the kernel chose for port 0.
  [[nodiscard]] const std::vector<std::string>& addresses() const;
  [[nodiscard]] std::size_t connections() const;
  // Closes everything; what is in flight is cut. In the io_context's thread, or when it does not
  // run.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace purgeline
