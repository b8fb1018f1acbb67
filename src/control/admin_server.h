// AdminServer: the HTTP server with the limits of the admin pages, which have no bodies.
//
// Place:  between the HTTP server and a handler that is a plain function.
// Thread: that of the io_context, once it runs; listen() before.
// Bound:  limits.connections at once, each with a header of limits.header bytes, no body, and
//         limits.idle for each request and each answer, slow or not.
#pragma once

#include <functional>
#include <string>

#include "control/admin_pages.h"
#include "control/http_server.h"
#include "purgeline/config.h"
#include "purgeline/result.h"

namespace purgeline {

using AdminHandler = std::function<AdminResponse(const AdminRequest&)>;

struct AdminLimits {
  std::uint32_t header{8192};
  std::size_t connections{64};
  Duration idle{std::chrono::seconds(5)};
};

class AdminServer {
 public:
  AdminServer(boost::asio::io_context& context, AdminHandler handler, AdminLimits limits = {});

  // As HttpServer: binds and listens on one address, or says why not.
  [[nodiscard]] Status listen(const Endpoint& endpoint);
  // Where it listens, with the port that the kernel chose for port 0.
  [[nodiscard]] const std::string& address() const { return address_; }
  // Closes everything; what is in flight is cut. In the io_context's thread, or when it does not
  // run.
  void stop() { server_.stop(); }

 private:
  HttpServer server_;
  std::string address_;
};

}  // namespace purgeline
