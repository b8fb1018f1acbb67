#include "app/intakes.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/http_server.h"
#include "decode/posted_events.h"
#include "intake/htcp_intake.h"
#include "intake/htcp_socket.h"
#include "intake/http_intake.h"
#include "intake/token.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Batches of one socket before the others, and HTTP, have their turn.
constexpr int kBatchesPerTurn = 8;
// How soon a journal without room is asked again.
constexpr std::chrono::milliseconds kAskAgain{5};
constexpr std::uint32_t kHeader = 16 << 10;  // the longest URL, and what browsers send around it

HttpIntakeOptions http_options(const HttpIntakeConfig& config, std::string token,
                               std::string version) {
  HttpIntakeOptions options;
  options.topic_prefix = config.topic_prefix;
  options.purge_topic = config.purge_topic;
  options.streams = config.streams;
  options.token = std::move(token);
  options.version = std::move(version);
  return options;
}

HttpLimits http_limits(const HttpIntakeConfig& config) {
  HttpLimits limits;
  limits.header = kHeader;
  limits.body = PostedReader::kMaxBody;
  limits.connections = config.connections;
  limits.idle = config.idle_timeout;
  limits.request = config.request_timeout;
  return limits;
}

// One UDP socket, waited for.
struct Listening {
  Listening(asio::io_context& context, std::unique_ptr<HtcpSocket> opened)
      : socket(std::move(opened)), descriptor(context, dup(socket->fd())), timer(context) {}
  std::unique_ptr<HtcpSocket> socket;
  asio::posix::stream_descriptor descriptor;  // closes its own copy
  asio::steady_timer timer;
};

}  // namespace

struct Intakes::Impl : std::enable_shared_from_this<Intakes::Impl> {
  Impl(asio::io_context& io, IntakeConfig config_in, std::string version_in, IntakeSeams seams_in)
      : context(io),
        config(std::move(config_in)),
        version(std::move(version_in)),
        seams(seams_in) {}

  auto post() {
    return [&io = context](std::function<void()> what) {
      asio::post(io, std::move(what));
    };
  }

  Status start_http() {
    if (config.http.listen.empty()) return {};
    std::string token;
    if (!config.http.token_file.empty()) {
      auto read = read_token(config.http.token_file);
      if (!read) return tl::unexpected(read.error());
      token = std::move(*read);
    }
    http.emplace(http_options(config.http, std::move(token), version), seams.journal, seams.watch,
                 seams.clock, seams.random, post());
    server.emplace(
        context,
        [this](HttpRequest request, HttpReply reply) {
          http->handle(std::move(request), std::move(reply));
        },
        [this](unsigned status, std::string_view reason) { return http->refuse(status, reason); },
        http_limits(config.http));
    for (const Endpoint& endpoint : config.http.listen) {
      if (Status status = server->listen(endpoint); !status) return status;
      seams.log.info("intake address", {{"http", server->addresses().back()}});
    }
    return {};
  }

  Status start_htcp() {
    if (config.htcp.listen.empty() && config.htcp.groups.empty()) return {};
    htcp.emplace(HtcpIntakeOptions{config.htcp.topic, config.htcp.allow_sources, config.htcp.rate},
                 seams.journal, seams.clock, seams.random, post());
    for (const auto* list : {&config.htcp.listen, &config.htcp.groups}) {
      for (const Endpoint& endpoint : *list) {
        if (Status status = open(endpoint); !status) return status;
      }
    }
    for (const auto& one : listening) wait(*one);
    return {};
  }

  Status open(const Endpoint& endpoint) {
    auto socket = HtcpSocket::open(endpoint, config.htcp.interface, config.htcp.receive_buffer);
    if (!socket) return tl::unexpected(socket.error());
    const std::string address = (*socket)->address();
    const std::uint64_t granted = (*socket)->granted_buffer();
    seams.log.info("intake address", {{"htcp", address}});
    if (granted < config.htcp.receive_buffer) {
      seams.log.warning("small receive buffer",
                        {{"htcp", address},
                         {"bytes", std::to_string(granted)},
                         {"asked", std::to_string(config.htcp.receive_buffer)},
                         {"fix", "raise net.core.rmem_max"}});
    }
    listening.push_back(std::make_unique<Listening>(context, std::move(*socket)));
    return {};
  }

  void wait(Listening& one) {
    one.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                              [self = shared_from_this(), &one](const error_code& error) {
                                if (!error) self->receive(one);
                              });
  }

  void receive(Listening& one) {
    if (refusing) return;
    seams.clock.refresh();
    htcp->flush();  // what the journal had no room for
    for (int batch = 0; batch < kBatchesPerTurn && htcp->has_room(); ++batch) {
      const std::size_t got =
          one.socket->receive([this](const IpAddress& source, std::string_view datagram, bool cut) {
            htcp->on_packet(source, datagram, cut);
          });
      htcp->on_overflow(one.socket->take_overflow());
      htcp->flush();
      if (got < HtcpSocket::kBatch) break;
    }
    if (htcp->has_room()) return wait(one);
    // The kernel's buffer holds what comes meanwhile, and counts what it cannot.
    one.timer.expires_after(kAskAgain);
    one.timer.async_wait([self = shared_from_this(), &one](const error_code& error) {
      if (!error) self->receive(one);
    });
  }

  void refuse() {
    refusing = true;
    if (http) http->stop();
    if (htcp) htcp->flush();
  }

  void stop() {
    refuse();
    if (server) server->stop();
    for (const auto& one : listening) {
      error_code ignored;
      one->descriptor.close(ignored);
      one->timer.cancel();
    }
  }

  asio::io_context& context;
  IntakeConfig config;
  std::string version;
  IntakeSeams seams;
  std::optional<HttpIntake> http;
  std::optional<HttpServer> server;
  std::optional<HtcpIntake> htcp;
  std::vector<std::unique_ptr<Listening>> listening;
  bool refusing{false};
};

Intakes::Intakes(asio::io_context& context, IntakeConfig config, std::string version,
                 IntakeSeams seams)
    : impl_(std::make_shared<Impl>(context, std::move(config), std::move(version), seams)) {}

Intakes::~Intakes() {
  stop();
}

bool Intakes::wanted(const IntakeConfig& config) {
  return !config.http.listen.empty() || !config.htcp.listen.empty() || !config.htcp.groups.empty();
}

Status Intakes::start() {
  if (Status status = impl_->start_http(); !status) return status;
  return impl_->start_htcp();
}

void Intakes::refuse() {
  impl_->refuse();
}

void Intakes::stop() {
  impl_->stop();
}

void Intakes::add_metrics(MetricsSnapshot& snapshot) const {
  if (impl_->http) {
    snapshot.intake_http = impl_->http->metrics();
    snapshot.intake_http.connections = static_cast<double>(impl_->server->connections());
  }
  if (impl_->htcp) {
    snapshot.intake_htcp = impl_->htcp->metrics();
    snapshot.htcp_sources = impl_->htcp->sources();
  }
}

std::vector<std::string> Intakes::http_addresses() const {
  return impl_->server ? impl_->server->addresses() : std::vector<std::string>{};
}

std::vector<std::string> Intakes::htcp_addresses() const {
  std::vector<std::string> out;
  for (const auto& one : impl_->listening) out.push_back(one->socket->address());
  return out;
}

}  // namespace purgeline
