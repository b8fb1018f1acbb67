#include "control/admin_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <unordered_set>

#include "purgeline/check.h"

namespace purgeline {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using GenericEndpoint = asio::generic::stream_protocol::endpoint;

// What is read and thrown away after a refusal, so that the close does not reset the connection
// before the client has read why.
constexpr std::size_t kLingerBytes = 65536;

Errc errc_of(const error_code& error) {
  if (error == asio::error::address_in_use) return Errc::exists;
  if (error == asio::error::access_denied || error == boost::system::errc::permission_denied) {
    return Errc::permission;
  }
  if (error == boost::system::errc::address_not_available) return Errc::not_found;
  return Errc::internal;
}

tl::unexpected<Error> cannot_listen(const Endpoint& endpoint, const error_code& error) {
  if (error == asio::error::address_in_use) {
    return failure(Errc::exists, "cannot listen on " + endpoint.text + ": it is in use");
  }
  return failure(errc_of(error), "cannot listen on " + endpoint.text + ": " + error.message());
}

Result<GenericEndpoint> resolve(asio::io_context& context, const Endpoint& endpoint) {
  error_code error;
  if (!endpoint.unix_path.empty()) {
    if (endpoint.unix_path.size() >= sizeof(sockaddr_un::sun_path)) {
      return failure(Errc::invalid, "cannot listen on " + endpoint.text + ": the path is too long");
    }
    return GenericEndpoint(asio::local::stream_protocol::endpoint(endpoint.unix_path));
  }
  if (const auto address = asio::ip::make_address(endpoint.host, error); !error) {
    return GenericEndpoint(asio::ip::tcp::endpoint(address, endpoint.port));
  }
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(endpoint.host, std::to_string(endpoint.port), error);
  if (error || found.empty()) {
    return failure(Errc::not_found,
                   "cannot listen on " + endpoint.text + ": the name does not resolve");
  }
  return GenericEndpoint(found.begin()->endpoint());
}

// A socket file whose owner is gone refuses connections; only such a file is removed.
void remove_stale_socket(asio::io_context& context, const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  asio::local::stream_protocol::socket probe(context);
  error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  if (error == asio::error::connection_refused) unlink(path.c_str());
}

std::string address_text(const Acceptor& acceptor, const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty()) return endpoint.text;
  error_code error;
  const GenericEndpoint local = acceptor.local_endpoint(error);
  asio::ip::tcp::endpoint tcp;
  if (error || local.size() > tcp.capacity()) return endpoint.text;
  std::memcpy(tcp.data(), local.data(), local.size());
  tcp.resize(local.size());
  const std::string host = tcp.address().to_string();
  return (tcp.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(tcp.port());
}

class Session;

// What the sessions of one server share.
struct Shared {
  AdminHandler handler;
  AdminLimits limits;
  std::unordered_set<Session*> sessions;
  std::function<void()> on_session_end;
};

// One connection: read a request, answer it, again; a request that was pipelined waits in the
// buffer.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Stream::socket_type socket, std::shared_ptr<Shared> shared)
      : stream_(std::move(socket)),
        shared_(std::move(shared)),
        buffer_(shared_->limits.header + 1024) {
    shared_->sessions.insert(this);
  }
  ~Session() {
    shared_->sessions.erase(this);
    if (shared_->on_session_end) shared_->on_session_end();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(shared_->limits.header);
    parser_->body_limit(std::uint64_t{0});
    stream_.expires_after(shared_->limits.idle);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](const error_code& error, std::size_t /*bytes*/) {
                       self->on_read(error);
                     });
  }

  void close() {
    error_code ignored;
    stream_.socket().close(ignored);
  }

 private:
  void on_read(const error_code& error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      refuse(431, "the request's header is too large\n");
    } else if (error == http::error::body_limit || error == http::error::unexpected_body) {
      refuse(413, "a request here has no body\n");
    } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      refuse(400, "this is not HTTP/1.1: " + error.message() + "\n");
    } else if (error) {
      close();  // the peer went, or was too slow
    } else {
      const auto& request = parser_->get();
      AdminRequest plain{{request.method_string().data(), request.method_string().size()},
                         {request.target().data(), request.target().size()}};
      answer(shared_->handler(plain), request.keep_alive(), request.method() == http::verb::head);
    }
  }

  void refuse(unsigned status, std::string reason) {
    AdminResponse response;
    response.status = status;
    response.body = std::move(reason);
    answer(response, false, false);
  }

  void answer(const AdminResponse& answer, bool keep_alive, bool head) {
    response_.emplace();
    response_->result(answer.status);
    response_->set(http::field::content_type, answer.content_type);
    response_->set(http::field::cache_control, "no-store");
    if (!answer.allow.empty()) response_->set(http::field::allow, answer.allow);
    response_->keep_alive(keep_alive);
    // The length is that of the body also where HEAD leaves the body out.
    response_->content_length(answer.body.size());
    if (!head) response_->body() = answer.body;
    stream_.expires_after(shared_->limits.idle);
    http::async_write(
        stream_, *response_,
        [self = shared_from_this(), keep_alive](const error_code& error, std::size_t) {
          if (error) return self->close();
          if (keep_alive) return self->read();
          self->linger();
        });
  }

  void linger() {
    error_code ignored;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    buffer_.clear();
    stream_.expires_after(shared_->limits.idle);
    discard(0);
  }

  // The deadline is that of linger(): a client that goes on sending does not move it.
  void discard(std::size_t so_far) {
    stream_.async_read_some(buffer_.prepare(1024), [self = shared_from_this(), so_far](
                                                       const error_code& error, std::size_t bytes) {
      if (error || so_far + bytes > kLingerBytes) return self->close();
      self->discard(so_far + bytes);
    });
  }

  Stream stream_;
  std::shared_ptr<Shared> shared_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
};

}  // namespace

struct AdminServer::Impl : std::enable_shared_from_this<AdminServer::Impl> {
  Impl(asio::io_context& io, AdminHandler handler, AdminLimits limits)
      : context(io), acceptor(io), shared(std::make_shared<Shared>()) {
    shared->handler = std::move(handler);
    shared->limits = limits;
  }

  void accept() {
    if (accepting || !acceptor.is_open() || shared->sessions.size() >= shared->limits.connections) {
      return;
    }
    accepting = true;
    socket.emplace(context);
    acceptor.async_accept(*socket, [self = shared_from_this()](const error_code& error) {
      self->accepting = false;
      if (error == asio::error::operation_aborted) return;
      if (!error) std::make_shared<Session>(std::move(*self->socket), self->shared)->read();
      // Out of descriptors: the next session that ends tries again, else this would spin.
      if (error && !self->shared->sessions.empty()) return;
      self->accept();
    });
  }

  asio::io_context& context;
  Acceptor acceptor;
  std::shared_ptr<Shared> shared;
  std::optional<Stream::socket_type> socket;
  bool accepting{false};
  std::string address;
  std::string unix_path;
};

AdminServer::AdminServer(asio::io_context& context, AdminHandler handler, AdminLimits limits)
    : impl_(std::make_shared<Impl>(context, std::move(handler), limits)) {
  CHECK(limits.connections > 0);
  CHECK(limits.header > 0);
}

AdminServer::~AdminServer() {
  stop();
}

Status AdminServer::listen(const Endpoint& endpoint) {
  CHECK(!impl_->acceptor.is_open());
  const auto local = resolve(impl_->context, endpoint);
  if (!local) return tl::unexpected(local.error());
  const bool is_unix = !endpoint.unix_path.empty();
  if (is_unix) remove_stale_socket(impl_->context, endpoint.unix_path);
  Acceptor& acceptor = impl_->acceptor;
  error_code error;
  acceptor.open(local->protocol(), error);
  // Without it a restart fails while old connections linger in TIME_WAIT.
  if (!error && !is_unix) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(*local, error);
  if (!error && is_unix) impl_->unix_path = endpoint.unix_path;
  // The owner and its group: what the pages show is not for every local user by default.
  if (!error && is_unix) chmod(endpoint.unix_path.c_str(), 0660);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    error_code ignored;
    acceptor.close(ignored);
    return cannot_listen(endpoint, error);
  }
  impl_->address = address_text(acceptor, endpoint);
  impl_->shared->on_session_end = [weak = std::weak_ptr<Impl>(impl_)] {
    if (const auto impl = weak.lock()) impl->accept();
  };
  impl_->accept();
  return {};
}

const std::string& AdminServer::address() const {
  return impl_->address;
}

void AdminServer::stop() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->shared->on_session_end = nullptr;
  for (Session* session : impl_->shared->sessions) session->close();
  if (!impl_->unix_path.empty()) unlink(impl_->unix_path.c_str());
  impl_->unix_path.clear();
}

}  // namespace purgeline
