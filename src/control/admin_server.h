// AdminServer: a small HTTP/1.1 server for the admin pages.
//
// Place:  between the sockets and a handler that is a plain function; the one translation unit with
// Beast. Thread: that of the io_context, once it runs; listen() before. Bound:  limits.connections
// at once (more wait in the kernel's backlog), each with a header of at most
//         limits.header bytes, no body, and limits.idle for each request and each answer, slow or
//         not.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "control/admin_pages.h"
#include "purgeline/config.h"
#include "purgeline/result.h"

namespace boost::asio {
class io_context;
}

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
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Binds and listens, or says why not; the address is named in the error. A name is resolved. A
  // Unix socket that a dead process left behind is replaced, one that is in use is not.
  [[nodiscard]] Status listen(const Endpoint& endpoint);
  // Where it listens, with the port that the kernel chose for port 0.
  [[nodiscard]] const std::string& address() const;
  // Closes everything; what is in flight is cut. In the io_context's thread, or when it does not
  // run.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace purgeline
