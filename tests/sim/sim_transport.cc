#include "sim/sim_transport.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

}  // namespace

SimTransport::SimTransport(SimClock& clock, Agenda& agenda, test::FakeRandom& random)
    : clock_(clock), agenda_(agenda), random_(random) {}

SimCache& SimTransport::cache(std::uint16_t port) {
  return caches_[port];
}

bool SimTransport::alive(LinkId link) const {
  return link.slot < links_.size() && links_[link.slot].in_use &&
         links_[link.slot].generation == link.generation;
}

LinkId SimTransport::open(const Address& address, LinkHandler& handler) {
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
  if (!caches_[at(id).port].up) {
    ++counts_.refused;
    end(id, Errc::refused);
    return;
  }
  at(id).open = true;
  at(id).handler->on_open();
}

void SimTransport::send(LinkId id, std::span<const std::byte> bytes) {
  CHECK(alive(id));
  Link& link = at(id);
  CHECK(link.open && !link.closing && !link.sending && !bytes.empty());
  link.sending = true;
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  MonoTime when = clock_.now() + microseconds(20 + random_.below(100));
  // Split anywhere: the cache sees the parts at different moments.
  while (text.size() > 1 && random_.below(3) == 0) {
    ++counts_.splits;
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
  if (!alive(id) || at(id).closing || !caches_[at(id).port].up) return;
  at(id).inbox += bytes;
  parse(id);
}

void SimTransport::parse(LinkId id) {
  for (;;) {
    if (!alive(id) || at(id).closing) return;
    Link& link = at(id);
    const std::size_t end = link.inbox.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string head = link.inbox.substr(0, end);
    link.inbox.erase(0, end + 4);
    CHECK(head.rfind("PURGE ", 0) == 0);
    const std::string path = head.substr(6, head.find(" HTTP/1.1\r\n") - 6);
    const std::size_t host = head.find("Host: ");
    CHECK(host != std::string::npos);
    answer(id, head.substr(host + 6, head.find("\r\n", host) - host - 6) + path);
  }
}

void SimTransport::answer(LinkId id, const std::string& url) {
  SimCache& cache = caches_[at(id).port];
  cache.seen.push_back({url, clock_.now(), MonoTime::max()});
  const std::size_t seen = cache.seen.size() - 1;
  if (chance(cache.faults.reset)) {
    ++counts_.resets;
    end(id, Errc::reset);
    return;
  }
  if (chance(cache.faults.silent)) {
    ++counts_.silences;
    at(id).answer_free = MonoTime::max();  // nothing after it is answered either
  }
  if (at(id).answer_free == MonoTime::max()) return;
  const MonoTime when = std::max(at(id).answer_free, clock_.now()) + cache.faults.latency +
                        microseconds(random_.below(500));
  at(id).answer_free = when;
  if (!cache.refuses.empty() && url.ends_with(cache.refuses)) {
    reply(id, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", when);
  } else if (cache.denies) {
    ++counts_.denials;
    reply(id, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", when);
  } else if (chance(cache.faults.error_5xx)) {
    ++counts_.errors;
    reply(id, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", when);
  } else {
    cache.seen[seen].answered = when;
    reply(id,
          random_.below(2) == 0 ? "HTTP/1.1 204 Purged\r\n\r\n"
                                : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
          when);
  }
}

void SimTransport::reply(LinkId id, const std::string& text, MonoTime when) {
  const std::size_t cut = random_.below(4) == 0 ? 1 + random_.below(text.size() - 1) : text.size();
  for (const std::string& part : {text.substr(0, cut), text.substr(cut)}) {
    if (part.empty()) continue;
    agenda_.at(when, [this, id, part] {
      if (!alive(id) || at(id).closing) return;
      const auto* data = reinterpret_cast<const std::byte*>(part.data());
      at(id).handler->on_bytes({data, part.size()});
    });
  }
}

void SimTransport::end(LinkId id, Errc why) {
  if (!alive(id)) return;
  LinkHandler* handler = at(id).handler;
  at(id).in_use = false;
  handler->on_closed(why);
}

void SimTransport::close(LinkId id) {
  if (!alive(id) || at(id).closing) return;
  at(id).closing = true;
  // Later than now: never in the turn of the handler that closed.
  agenda_.at(clock_.now() + microseconds(1 + random_.below(300)),
             [this, id] { end(id, Errc::none); });
}

void SimTransport::stop_cache(std::uint16_t port) {
  caches_[port].up = false;
  for (std::uint32_t slot = 0; slot < links_.size(); ++slot) {
    if (!links_[slot].in_use || links_[slot].port != port) continue;
    const LinkId id{slot, links_[slot].generation};
    agenda_.at(clock_.now(), [this, id] { end(id, Errc::reset); });
  }
}

void SimTransport::start_cache(std::uint16_t port) {
  caches_[port].up = true;
}

void SimTransport::crash() {
  for (Link& link : links_) link.in_use = false;
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
