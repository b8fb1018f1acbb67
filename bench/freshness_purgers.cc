#include "freshness_purgers.h"

#include <algorithm>
#include <string_view>

namespace purgeline::bench {
namespace {

constexpr std::size_t kRelayConnections = 64;  // more than sites have: it is not to be what waits
constexpr std::size_t kBatch = 500;
constexpr std::string_view kHost = "en.example.org";

std::string purge_request(std::uint32_t page) {
  return "PURGE " + page_path(page) + " HTTP/1.1\r\nHost: " + std::string(kHost) + "\r\n\r\n";
}

}  // namespace

Relay::Relay(Loop& loop, const std::string& backend, const std::string& frontend, Micros delay)
    : loop_(loop),
      backend_(loop, backend, kRelayConnections),
      frontend_(loop, frontend, kRelayConnections),
      delay_(delay) {}

void Relay::purge(std::uint32_t page) {
  backend_.send(purge_request(page), [this, page, asked = now()](const HttpAnswer& answer) {
    note(answer);
    loop_.at(now() + delay_, [this, page, asked] {
      frontend_.send(purge_request(page), [this, asked](const HttpAnswer& last) {
        note(last);
        longest_ = std::max(longest_, duration_cast<Micros>(now() - asked) - delay_);
      });
    });
  });
}

void Relay::note(const HttpAnswer& answer) {
  ++sent_;
  const bool done = answer.status == 200 || answer.status == 204 || answer.status == 404;
  failed_ += done ? 0 : 1;
}

Poster::Poster(Loop& loop, const std::string& intake) : intake_(loop, intake, 1) {}

void Poster::purge(std::uint32_t page) {
  waiting_.push_back({page, now()});
  if (!posting_) post();
}

void Poster::post() {
  const Moment oldest = waiting_.front().when;
  std::string body = "[";
  std::size_t events = 0;
  for (; events < kBatch && !waiting_.empty(); ++events) {
    body += events == 0 ? "" : ",";
    body +=
        R"({"$schema":"/resource_change/1.0.0","meta":{"stream":"resource-purge","uri":"https://)";
    body += std::string(kHost) + page_path(waiting_.front().page) + "\"}}";
    waiting_.pop_front();
  }
  body += "]";
  posting_ = true;
  intake_.send(
      "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body,
      [this, events, oldest](const HttpAnswer& answer) {
        longest_ = std::max(longest_, duration_cast<Micros>(now() - oldest));
        failed_ += answer.status == 201 ? 0 : events;
        posting_ = false;
        if (!waiting_.empty()) post();
      });
}

}  // namespace purgeline::bench
