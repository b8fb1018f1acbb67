#include "control/http_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <unordered_set>

#include "control/http_framing.h"
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

bool is_local(const GenericEndpoint& endpoint, const Endpoint& asked) {
  if (!asked.unix_path.empty()) return true;
  asio::ip::tcp::endpoint tcp;
  if (endpoint.size() > tcp.capacity()) return false;
  std::memcpy(tcp.data(), endpoint.data(), endpoint.size());
  tcp.resize(endpoint.size());
  return tcp.address().is_loopback();
}

class Session;

// What the sessions of one server share.
struct Shared {
  HttpHandler handler;
  HttpServer::Refuse refuse;
  HttpLimits limits;
  std::unordered_set<Session*> sessions;
  std::function<void()> on_session_end;
};

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// One connection: read a request, have it answered, again; a request that was pipelined waits in
// the buffer.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Stream::socket_type socket, bool local, std::shared_ptr<Shared> shared)
      : stream_(std::move(socket)),
        answer_timer_(stream_.get_executor()),
        local_(local),
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
    scanner_ = {};
    parser_.emplace();
    parser_->header_limit(shared_->limits.header);
    parser_->body_limit(shared_->limits.body);
    started_ = buffer_.size() > 0;
    stream_.expires_after(started_ ? shared_->limits.request : shared_->limits.idle);
    scan();
  }

  void close() {
    closed_ = true;
    answer_timer_.cancel();
    error_code ignored;
    stream_.socket().close(ignored);
  }

 private:
  // The header is looked at before the parser sees it: what the parser would forgive is refused.
  void scan() {
    const auto seen = buffer_.cdata();
    const auto state = scanner_.scan({static_cast<const char*>(seen.data()), seen.size()});
    if (state == HeaderScanner::State::bad) return refuse(400, scanner_.problem());
    if (state == HeaderScanner::State::complete) return read_header();
    if (buffer_.size() >= shared_->limits.header) return too_large();
    const std::size_t room = std::min<std::size_t>(1024, buffer_.max_size() - buffer_.size());
    stream_.async_read_some(buffer_.prepare(room), [self = shared_from_this()](
                                                       const error_code& error, std::size_t bytes) {
      if (error) return self->close();  // the peer went, or was too slow
      self->buffer_.commit(bytes);
      // From its first byte on, a request has the time of one, however slowly the rest drips in.
      if (!std::exchange(self->started_, true)) {
        self->stream_.expires_after(self->shared_->limits.request);
      }
      self->scan();
    });
  }

  void read_header() {
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](const error_code& error, std::size_t) {
                              if (error) return self->on_error(error);
                              self->offer_to_continue();
                            });
  }

  // A client with a large body asks before it sends it.
  void offer_to_continue() {
    const auto expect = parser_->get()[http::field::expect];
    if (parser_->is_done() || buffer_.size() > 0 || !beast::iequals(expect, "100-continue")) {
      return read_body();
    }
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        if (error) return self->close();
                        self->read_body();
                      });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                       if (error) return self->on_error(error);
                       self->on_request();
                     });
  }

  void on_error(const error_code& error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      too_large();
    } else if (error == http::error::body_limit || error == http::error::unexpected_body) {
      const std::uint64_t limit = shared_->limits.body;
      refuse(413, limit == 0 ? "a request here has no body"
                             : "the body is larger than " + std::to_string(limit) + " bytes");
    } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      refuse(400, "this is not HTTP/1.1: " + error.message());
    } else {
      close();  // the peer went, or was too slow
    }
  }

  void too_large() { refuse(431, "the request's header is too large"); }

  void on_request() {
    auto message = parser_->release();
    head_ = message.method() == http::verb::head;
    const bool keep_alive = message.keep_alive();
    HttpRequest request;
    request.local = local_;
    const auto text = [](auto view) {
      return std::string(view.data(), view.size());
    };
    request.method = text(message.method_string());
    request.target = text(message.target());
    for (const auto& field : message) {
      request.fields.emplace_back(text(field.name_string()), text(field.value()));
    }
    request.body = std::move(message.body());
    const std::uint64_t number = ++request_;
    stream_.expires_never();
    wait_for_answer(number);
    // Weak would not do: the session lives by what it waits for.
    shared_->handler(
        std::move(request), [self = shared_from_this(), number, keep_alive](HttpResponse response) {
          if (self->closed_ || self->request_ != number) return;
          ++self->request_;  // a second reply, or the end of the wait, changes nothing any more
          self->answer_timer_.cancel();
          self->answer(std::move(response), keep_alive);
        });
  }

  void wait_for_answer(std::uint64_t number) {
    answer_timer_.expires_after(shared_->limits.answer);
    answer_timer_.async_wait([self = shared_from_this(), number](const error_code& error) {
      if (error || self->closed_ || self->request_ != number) return;
      ++self->request_;
      self->refuse(504, "no answer in time; whether the request had an effect is not known");
    });
  }

  void refuse(unsigned status, std::string_view reason) {
    HttpResponse response = shared_->refuse(status, reason);
    head_ = false;
    answer(std::move(response), false);
  }

  void answer(HttpResponse answer, bool keep_alive) {
    keep_alive = keep_alive && !answer.close;
    response_.emplace();
    response_->result(answer.status);
    if (!answer.content_type.empty()) {
      response_->set(http::field::content_type, answer.content_type);
    }
    for (const auto& [name, value] : answer.fields) response_->set(name, value);
    response_->keep_alive(keep_alive);
    // The length is that of the body also where HEAD leaves the body out.
    response_->content_length(answer.body.size());
    if (!head_) response_->body() = std::move(answer.body);
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
  asio::steady_timer answer_timer_;
  bool local_;
  bool started_{false};  // the first byte of the request is there
  bool closed_{false};
  bool head_{false};
  std::uint64_t request_{0};  // which one is waited for
  std::shared_ptr<Shared> shared_;
  beast::flat_buffer buffer_;
  HeaderScanner scanner_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
};

// One address that is listened on.
struct Listener {
  explicit Listener(asio::io_context& context) : acceptor(context) {}
  Acceptor acceptor;
  std::optional<Stream::socket_type> socket;
  bool accepting{false};
  bool local{false};
  std::string unix_path;
};

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  Impl(asio::io_context& io, HttpHandler handler, Refuse refuse, HttpLimits limits)
      : context(io), shared(std::make_shared<Shared>()) {
    shared->handler = std::move(handler);
    shared->refuse = std::move(refuse);
    shared->limits = limits;
  }

  void accept_all() {
    for (const auto& listener : listeners) accept(*listener);
  }

  void accept(Listener& listener) {
    if (listener.accepting || !listener.acceptor.is_open() ||
        shared->sessions.size() >= shared->limits.connections) {
      return;
    }
    listener.accepting = true;
    listener.socket.emplace(context);
    listener.acceptor.async_accept(*listener.socket,
                                   [self = shared_from_this(), &listener](const error_code& error) {
                                     listener.accepting = false;
                                     if (error == asio::error::operation_aborted) return;
                                     if (!error) self->begin(listener);
                                     // Out of descriptors: the next session that ends tries again,
                                     // else this would spin.
                                     if (error && !self->shared->sessions.empty()) return;
                                     self->accept(listener);
                                   });
  }

  // Several addresses may have been accepting for the last place that was free.
  void begin(Listener& listener) {
    if (shared->sessions.size() >= shared->limits.connections + listeners.size()) return;
    std::make_shared<Session>(std::move(*listener.socket), listener.local, shared)->read();
  }

  asio::io_context& context;
  std::shared_ptr<Shared> shared;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::string> addresses;
};

HttpServer::HttpServer(asio::io_context& context, HttpHandler handler, Refuse refuse,
                       HttpLimits limits)
    : impl_(std::make_shared<Impl>(context, std::move(handler), std::move(refuse), limits)) {
  CHECK(limits.connections > 0);
  CHECK(limits.header > 0);
}

HttpServer::~HttpServer() {
  stop();
}

Status HttpServer::listen(const Endpoint& endpoint) {
  const auto local = resolve(impl_->context, endpoint);
  if (!local) return tl::unexpected(local.error());
  const bool is_unix = !endpoint.unix_path.empty();
  if (is_unix) remove_stale_socket(impl_->context, endpoint.unix_path);
  auto listener = std::make_unique<Listener>(impl_->context);
  Acceptor& acceptor = listener->acceptor;
  error_code error;
  acceptor.open(local->protocol(), error);
  // Without it a restart fails while old connections linger in TIME_WAIT.
  if (!error && !is_unix) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(*local, error);
  if (!error && is_unix) listener->unix_path = endpoint.unix_path;
  // The owner and its group: who may read and write here is not every local user by default.
  if (!error && is_unix) chmod(endpoint.unix_path.c_str(), 0660);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot_listen(endpoint, error);
  listener->local = is_local(*local, endpoint);
  impl_->addresses.push_back(address_text(acceptor, endpoint));
  impl_->shared->on_session_end = [weak = std::weak_ptr<Impl>(impl_)] {
    if (const auto impl = weak.lock()) impl->accept_all();
  };
  impl_->listeners.push_back(std::move(listener));
  impl_->accept(*impl_->listeners.back());
  return {};
}

const std::vector<std::string>& HttpServer::addresses() const {
  return impl_->addresses;
}

std::size_t HttpServer::connections() const {
  return impl_->shared->sessions.size();
}

void HttpServer::stop() {
  for (const auto& listener : impl_->listeners) {
    error_code ignored;
    listener->acceptor.close(ignored);
    if (!listener->unix_path.empty()) unlink(listener->unix_path.c_str());
    listener->unix_path.clear();
  }
  impl_->shared->on_session_end = nullptr;
  for (Session* session : impl_->shared->sessions) session->close();
}

}  // namespace purgeline
