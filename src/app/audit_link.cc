#include "app/audit_link.h"

#include <utility>

#include "dispatch/address.h"
#include "dispatch/http1.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr RequestForm kProbe{"PURGE ", "X-Purgeline-Audit: 1\r\n"};
constexpr RequestForm kOnlyIfCached{"HEAD ", "Cache-Control: only-if-cached, max-stale\r\n"};
constexpr int kMostConnects = 3;  // for one look
constexpr std::string_view kNobodysHost = "purgeline.invalid";
constexpr std::string_view kNobodysPath = "/purgeline-probe";

constexpr const char* kUnknownCache =
    "its answer to a PURGE shows neither the probe of the shipped VCL (conf/purge.vcl) nor a "
    "Traffic Server";
constexpr const char* kProbeGone =
    "its answers show the probe of the shipped VCL (conf/purge.vcl) no more";

}  // namespace

AuditLink::AuditLink(TargetSpec spec, Transport& transport, Resolver& resolver, bool& touched)
    : spec_(std::move(spec)), transport_(transport), resolver_(resolver), touched_(touched) {}

AuditLink::~AuditLink() {
  if (state_ == State::resolving) resolver_.cancel(*this);
}

void AuditLink::look(std::string_view host, std::string_view path) {
  CHECK(!busy_ && asked_ == Asked::nothing);
  host_ = host;
  path_ = path;
  busy_ = touched_ = true;
  connects_ = 0;
  deadline_ = MonoTime::max();
}

void AuditLink::close() {
  busy_ = false;
  asked_ = Asked::nothing;
  if (state_ == State::resolving) {
    resolver_.cancel(*this);
    state_ = State::closed;
  }
  close_link();
}

void AuditLink::close_link() {
  if (state_ != State::connecting && state_ != State::open) return;
  if (state_ == State::connecting) ++next_address_;  // it was too slow
  state_ = State::closing;
  transport_.close(link_);
}

AuditLink::Ended AuditLink::end(std::optional<audit::Head> head, std::string blind) {
  if (!head) close();  // what comes on it now would be taken for the next answer
  busy_ = false;
  asked_ = Asked::nothing;
  deadline_ = MonoTime::max();
  return {std::move(head), std::move(blind)};
}

std::optional<AuditLink::Ended> AuditLink::turn(MonoTime now) {
  // What was complete before the end counts.
  if (busy_ && head_ready_) {
    if (auto ended = take_head()) return ended;
  }
  if (std::exchange(ended_, false)) {
    if (auto ended = take_end()) return ended;
  }
  if (!busy_) {
    if (trouble_) close_link();  // bytes that nobody asked for
    return std::nullopt;
  }
  if (trouble_ || now >= deadline_) return end({});
  if (state_ == State::resolving && resolved_) {
    state_ = State::closed;
    const auto addresses = *std::exchange(resolved_, std::nullopt);
    if (!addresses) return end({});
    open((*addresses)[next_address_ % addresses->size()], now);
  } else if (state_ == State::closed) {
    if (++connects_ > kMostConnects) return end({});
    connect(now);
  } else if (state_ == State::open && asked_ == Asked::nothing && !sending_) {
    return ask(now);
  }
  return std::nullopt;
}

// A cache ends connections that are idle without a word: what was asked in that moment is asked
// once more on a new one.
std::optional<AuditLink::Ended> AuditLink::take_end() {
  const bool again = asked_ == Asked::nothing || useful_;
  asked_ = Asked::nothing;
  head_ready_ = trouble_ = false;
  if (busy_ && !again) return end({});
  return std::nullopt;
}

void AuditLink::connect(MonoTime now) {
  if (!std::exchange(kept_kind_, false)) kind_ = Kind::unknown;
  if (const auto fixed = fixed_address(spec_.endpoint)) {
    open(*fixed, now);
    return;
  }
  state_ = State::resolving;
  resolved_.reset();
  deadline_ = now + spec_.connect_timeout;
  resolver_.resolve(spec_.endpoint.host, spec_.endpoint.port, *this);
}

void AuditLink::open(const Address& address, MonoTime now) {
  reader_.restart();
  head_ready_ = trouble_ = useful_ = sending_ = false;
  state_ = State::connecting;
  deadline_ = now + spec_.connect_timeout;
  link_ = transport_.open(address, *this);
}

std::optional<AuditLink::Ended> AuditLink::ask(MonoTime now) {
  const bool known = kind_ != Kind::unknown;
  const RequestForm& form = kind_ == Kind::only_if_cached ? kOnlyIfCached : kProbe;
  out_.clear();
  out_.reserve(kMaxRequest);
  if (!write_request(out_, form, known ? std::string_view(host_) : kNobodysHost,
                     known ? std::string_view(path_) : kNobodysPath, default_user_agent())) {
    return end({});
  }
  asked_ = known ? Asked::look : Asked::kind;
  deadline_ = now + spec_.request_timeout;
  sending_ = true;
  transport_.send(link_, std::as_bytes(std::span(out_)));
  return std::nullopt;
}

std::optional<AuditLink::Ended> AuditLink::take_head() {
  const audit::Head head = reader_.head();
  reader_.restart();
  head_ready_ = false;
  useful_ = true;
  const Asked asked = std::exchange(asked_, Asked::nothing);
  CHECK(asked != Asked::nothing);
  const bool no_body = asked == Asked::look && kind_ == Kind::only_if_cached;
  if (head.extra || !head.keep_alive || (head.has_body && !no_body)) {
    kept_kind_ = asked == Asked::kind;
    close_link();
  }
  if (asked == Asked::kind) return learn(head);
  if (kind_ == Kind::vcl_probe && head.probe.empty()) return end({}, kProbeGone);
  return end(head);
}

std::optional<AuditLink::Ended> AuditLink::learn(const audit::Head& head) {
  if (!head.probe.empty()) {
    kind_ = Kind::vcl_probe;
  } else if (head.server.starts_with("ATS") && !head.varnish) {
    kind_ = Kind::only_if_cached;
  } else {
    kept_kind_ = false;
    return end({}, kUnknownCache);
  }
  return std::nullopt;
}

// ---- what the transport and the resolver tell: noted, and looked at in turn()

void AuditLink::on_open() {
  if (state_ == State::connecting) state_ = State::open;
  touched_ = true;
}

void AuditLink::on_bytes(std::span<const std::byte> bytes) {
  touched_ = true;
  if (asked_ == Asked::nothing || head_ready_) {
    trouble_ = true;
    return;
  }
  const auto step = reader_.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  head_ready_ = step == audit::HeadReader::Step::head;
  trouble_ = step == audit::HeadReader::Step::malformed;
}

void AuditLink::on_sent() {
  sending_ = false;
  touched_ = true;
}

void AuditLink::on_closed(Errc /*why*/) {
  if (state_ == State::connecting) ++next_address_;
  state_ = State::closed;
  sending_ = false;
  ended_ = touched_ = true;
  link_ = LinkId{};
}

void AuditLink::on_resolved(Result<std::vector<Address>> addresses) {
  resolved_ = std::move(addresses);
  touched_ = true;
}

}  // namespace purgeline
