// How simulated caches answer: well, badly, in parts, not at all, or for somebody else.
#include <algorithm>

#include "purgeline/check.h"
#include "sim/sim_transport.h"

namespace purgeline::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

std::string in_one_line(const std::string& bytes) {
  std::string line;
  for (const char c : bytes) {
    if (c == '\r' || c == '\n')
      line += c == '\r' ? "\\r" : "\\n";
    else
      line += c >= ' ' && c <= '~' ? c : '?';
  }
  return line;
}

}  // namespace

void SimTransport::answer(LinkId id, std::size_t purge) {
  SimTarget& to = target(id);
  const std::string url = to.seen[purge].url;
  if (url.find("/poison") != std::string::npos) {
    faults_.happened(Fault::poison_url);
    purged(id, url, false);
    end(id, random_.below(2) == 0 ? Errc::closed : Errc::reset);
    return;
  }
  if (fault(id, Fault::reset)) {
    purged(id, url, false);
    end(id, random_.below(2) == 0 ? Errc::closed : Errc::reset);
    return;
  }
  Link& link = at(id);
  if (fault(id, Fault::silent)) link.mute = true;
  if (link.mute) return purged(id, url, false);
  MonoTime when =
      std::max(link.answer_free, clock_.now()) + to.latency + microseconds(random_.below(500));
  if (fault(id, Fault::slow)) when += milliseconds(random_.below(3000));
  link.answer_free = when;
  Reply reply = verdict(id, url);
  spoil(id, reply);
  if (reply.good) purged(id, url, true);
  ++link.served;
  if (to.faulty && to.close_after != 0 && link.served % to.close_after == 0) {
    if (faults_.hit(Fault::close_after)) {
      const std::size_t line = reply.text.find("\r\n\r\n");
      if (random_.below(2) == 0 && line != std::string::npos && !reply.garbage) {
        reply.text.insert(line, "\r\nConnection: close");
      }
      reply.last = true;
    }
  }
  if (reply.last || reply.garbage) link.mute = true;
  this->reply(id, reply, when);
  if (!link.mute && fault(id, Fault::extra_answer)) {
    Reply again;
    again.text = good_text(id);
    again.good = again.extra = true;
    this->reply(id, again, at(id).answer_free);
  }
}

SimTransport::Reply SimTransport::verdict(LinkId id, const std::string& url) {
  const SimTarget& to = target(id);
  Reply reply;
  const bool refused = url.find("/refused") != std::string::npos;
  if (refused) faults_.happened(Fault::refused_url);
  if (refused || (!to.refuses.empty() && url.ends_with(to.refuses))) {
    reply.text = to.plain || random_.below(2) == 0
                     ? "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
                     : "HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n";
  } else if (to.denies) {
    constexpr const char* kDenials[] = {"403 Forbidden", "405 Method Not Allowed", "501 No"};
    reply.text = "HTTP/1.1 " + std::string(kDenials[to.plain ? 1 : random_.below(3)]) +
                 "\r\nContent-Length: 0\r\n\r\n";
    faults_.happened(Fault::denial);
  } else if (fault(id, Fault::error_5xx)) {
    reply.text = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
  } else {
    reply.text = good_text(id);
    reply.good = true;
  }
  return reply;
}

std::string SimTransport::good_text(LinkId id) {
  if (fault(id, Fault::no_length)) return "HTTP/1.1 204 Purged\r\n\r\n";
  if (fault(id, Fault::chunked)) {
    return "HTTP/1.1 200 Purged\r\nTransfer-Encoding: chunked\r\n\r\n"
           "4;why=none\r\ngone\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n";
  }
  switch (target(id).plain ? 3 : random_.below(4)) {
    case 0:
      return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    case 1:
      return "HTTP/1.1 204 Domain not cached here\r\n\r\n";
    case 2:
      return "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nyes";
    default:
      return "HTTP/1.1 200 OK\r\nVia: sim\r\nContent-Length: 0\r\n\r\n";
  }
}

void SimTransport::spoil(LinkId id, Reply& reply) {
  if (fault(id, Fault::interim)) reply.text.insert(0, "HTTP/1.1 103 Hints\r\nLink: </>\r\n\r\n");
  if (fault(id, Fault::garbage)) {
    constexpr const char* kGarbage[] = {"SSH-2.0-sim\r\n", "HTTP/1.1 abc\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                                        "\x16\x03\x01", "HTTP/2.0 200 OK\r\n\r\n"};
    reply.text = kGarbage[random_.below(5)];
    reply.garbage = true;
    reply.good = false;
  } else if (fault(id, Fault::cut_answer)) {
    // Before the end of the status line: nobody could take this for an answer.
    reply.text.resize(1 + random_.below(8));
    reply.cut = reply.last = true;
  }
}

void SimTransport::reply(LinkId id, Reply reply, MonoTime when) {
  std::vector<std::string> parts;
  std::string rest = reply.text;
  while (rest.size() > 1 && fault(id, Fault::split_answer)) {
    const std::size_t part = 1 + random_.below(rest.size() - 1);
    parts.push_back(rest.substr(0, part));
    rest.erase(0, part);
  }
  parts.push_back(rest);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool whole = i + 1 == parts.size();
    agenda_.at(when, [this, id, reply, whole, part = parts[i]] {
      if (!alive(id) || at(id).closing || !at(id).open) return;
      if (trace_.printing()) trace_.say("  " + target(id).name + " says " + in_one_line(part));
      if (whole) take(id, reply);
      const auto* data = reinterpret_cast<const std::byte*>(part.data());
      at(id).handler->on_bytes({data, part.size()});
      if (whole && reply.last) end(id, Errc::closed);
    });
    when += microseconds(random_.below(300));
  }
  // What leaves later must not overtake these parts.
  at(id).answer_free = std::max(at(id).answer_free, when);
}

// Which request the program has to take this answer for: the first one without. HTTP/1.1 has
// nothing else to tell.
void SimTransport::take(LinkId id, const Reply& reply) {
  Link& link = at(id);
  if (link.broken || reply.cut) return;
  if (reply.garbage || link.answered >= link.requests.size()) {
    link.broken = true;
    return;
  }
  PurgeSeen& purge = target(id).seen[link.requests[link.answered++]];
  link.shifted = link.shifted || reply.extra;
  purge.answered = clock_.now();
  purge.good = reply.good;
  purge.lied = link.shifted;
  link.broken = reply.last;
  // Nobody can know better; see PurgeSeen::effect().
  if (purge.good && purge.lied) purged(id, purge.url, true);
  trace_.note(purge.good ? "answer" : "bad answer", target(id).name + " " + purge.url);
}

}  // namespace purgeline::sim
