#include "sim/sim_transport.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::sim {

using std::chrono::microseconds;

std::string url_of_request(std::string_view head) {
  CHECK(head.substr(0, 6) == "PURGE ");
  const std::string_view path = head.substr(6, head.find(" HTTP/1.1\r\n") - 6);
  const std::size_t host = head.find("\r\nHost: ");
  CHECK(host != std::string_view::npos);
  const std::string_view rest = head.substr(host + 8);
  return std::string(rest.substr(0, rest.find("\r\n"))) + std::string(path);
}

void SimTransport::add(SimTarget target) {
  const std::uint16_t port = target.port;
  caches_[port] = std::move(target);
}

SimTarget& SimTransport::cache(std::uint16_t port) {
  return caches_.at(port);
}

bool SimTransport::alive(LinkId link) const {
  return link.slot < links_.size() && links_[link.slot].in_use &&
         links_[link.slot].generation == link.generation;
}

LinkId SimTransport::open(const Address& address, LinkHandler& handler) {
  crash_point();
  const SimTarget& to = caches_.at(address.port);
  const auto others = static_cast<std::uint64_t>(
      std::count_if(links_.begin(), links_.end(), [&address](const Link& link) {
        return link.in_use && !link.closing && link.port == address.port;
      }));
  if (others >= to.connections) violation_ = to.name + ": more connections than configured";
  std::uint32_t slot = 0;
  while (slot < links_.size() && links_[slot].in_use) ++slot;
  if (slot == links_.size()) links_.emplace_back();
  Link& link = links_[slot];
  const std::uint32_t generation = link.generation + 1;
  link = Link{};
  link.handler = &handler;
  link.generation = generation;
  link.port = address.port;
  link.in_use = true;
  const LinkId id{slot, generation};
  agenda_.at(clock_.now() + microseconds(50 + random_.below(200)), [this, id] { opened(id); });
  return id;
}

void SimTransport::opened(LinkId id) {
  if (!alive(id) || at(id).closing) return;
  if (!target(id).up || fault(id, Fault::connect_refused)) {
    end(id, Errc::refused);
    return;
  }
  if (fault(id, Fault::connect_silent)) return;
  at(id).open = true;
  at(id).handler->on_open();
  if (!fault(id, Fault::unasked_answer)) return;
  // As servers do when nobody asked for long enough; it may cross a request.
  const bool polite = random_.below(2) == 0;
  Reply reply;
  reply.text = polite ? "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
                      : "HTTP/1.1 204 For nobody\r\n\r\n";
  reply.extra = true;
  reply.good = !polite;
  reply.last = polite;
  this->reply(id, reply, clock_.now() + microseconds(random_.below(20000)));
}

// What the program hands over counts from this moment, whenever it arrives.
void SimTransport::record(LinkId id, std::string_view bytes) {
  Link& link = at(id);
  SimTarget& to = target(id);
  link.outbox += bytes;
  for (;;) {
    const std::size_t end = link.outbox.find("\r\n\r\n");
    if (end == std::string::npos) break;
    PurgeSeen purge;
    purge.url = url_of_request(std::string_view(link.outbox).substr(0, end + 2));
    purge.life = life_;
    purge.handed = clock_.now();
    trace_.note("send", to.name + " " + purge.url);
    to.by_url[purge.url].push_back(to.seen.size());
    link.requests.push_back(to.seen.size());
    to.seen.push_back(std::move(purge));
    link.outbox.erase(0, end + 4);
  }
  if (link.requests.size() - std::min(link.answered, link.requests.size()) > to.depth) {
    violation_ = to.name + ": more requests in flight than configured";
  }
}

void SimTransport::send(LinkId id, std::span<const std::byte> bytes) {
  crash_point();
  CHECK(alive(id));
  Link& link = at(id);
  CHECK(link.open && !link.closing && !link.sending && !bytes.empty());
  link.sending = true;
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  record(id, text);
  MonoTime when = clock_.now() + microseconds(20 + random_.below(100));
  // Split anywhere: the cache sees the parts at different moments.
  while (text.size() > 1 && fault(id, Fault::split_send)) {
    const std::size_t part = 1 + random_.below(text.size() - 1);
    agenda_.at(when, [this, id, head = text.substr(0, part)] { deliver(id, head); });
    text.erase(0, part);
    when += microseconds(random_.below(200));
  }
  agenda_.at(when, [this, id, text] {
    deliver(id, text);
    if (!alive(id) || at(id).closing) return;
    at(id).sending = false;
    at(id).handler->on_sent();
  });
}

void SimTransport::deliver(LinkId id, const std::string& bytes) {
  if (!alive(id) || at(id).closing || !target(id).up) return;
  at(id).inbox += bytes;
  for (;;) {
    if (!alive(id) || at(id).closing) return;
    Link& link = at(id);
    const std::size_t end = link.inbox.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string url = url_of_request(std::string_view(link.inbox).substr(0, end + 2));
    link.inbox.erase(0, end + 4);
    const std::size_t purge = link.requests.at(link.received++);
    PurgeSeen& seen = target(id).seen[purge];
    CHECK(seen.url == url);
    seen.received = clock_.now();
    trace_.note("purge", target(id).name + " " + url);
    answer(id, purge);
  }
}

void SimTransport::end(LinkId id, Errc why) {
  if (!alive(id)) return;
  LinkHandler* handler = at(id).handler;
  at(id).in_use = false;
  trace_.note("closed", caches_.at(at(id).port).name, static_cast<std::int64_t>(why));
  handler->on_closed(why);
}

void SimTransport::close(LinkId id) {
  crash_point();
  if (!alive(id) || at(id).closing) return;
  at(id).closing = true;
  // Later than now: never in the turn of the handler that closed.
  agenda_.at(clock_.now() + microseconds(1 + random_.below(300)),
             [this, id] { end(id, Errc::none); });
}

void SimTransport::stop_cache(std::uint16_t port) {
  caches_.at(port).up = false;
  for (std::uint32_t slot = 0; slot < links_.size(); ++slot) {
    if (!links_[slot].in_use || links_[slot].port != port) continue;
    const LinkId id{slot, links_[slot].generation};
    agenda_.at(clock_.now(), [this, id] { end(id, Errc::reset); });
  }
}

void SimTransport::start_cache(std::uint16_t port) {
  caches_.at(port).up = true;
}

void SimTransport::crash() {
  for (Link& link : links_) link.in_use = false;
  ++life_;
}

void SimTransport::turn(MonoTime until, microseconds tick) {
  MonoTime wake = until;
  if (!agenda_.empty()) {
    wake = std::min(wake, std::max(agenda_.next(), clock_.now()) + tick);
  }
  if (wake == MonoTime::max()) return;
  clock_.move_to(wake);
  // Only what is due now: what a handler asks for happens in a later turn.
  while (!agenda_.empty() && agenda_.next() <= clock_.now()) agenda_.run_one();
}

}  // namespace purgeline::sim
