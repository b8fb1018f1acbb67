// HttpIntake: requests that bring events, into the journal; answered when they are durable.
//
// Place:  behind the HTTP server, before the journal; a plain function from request to response.
// Thread: one, the server's. The journal's answers come back to it through `post`.
// Bound:  what the server bounds: one request per connection, each of the size it allows.
//
// Two ways in: `POST /v1/events`, as EventGate has it, and `PURGE`, as it is sent to caches.
// Nothing in the URL of a PURGE is an option: it is the key of the page, whatever it says.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "purgeline/clock.h"
#include "purgeline/http.h"
#include "purgeline/journal.h"
#include "purgeline/metrics.h"
#include "purgeline/purge_watch.h"

namespace purgeline {

struct HttpIntakeOptions {
  std::string topic_prefix;                   // before meta.stream of posted events
  std::string purge_topic{"resource-purge"};  // of PURGE requests; without the prefix
  std::vector<std::string> streams;           // the only ones that are taken; empty: all
  std::string token;                          // what a request that is not local has to show
  std::string version;                        // what GET / tells
};

class HttpIntake {
 public:
  // Runs something later on the intake's thread; may be called on any.
  using Post = std::function<void(std::function<void()>)>;

  // `watch` may be null: then no answer has an outcome. References outlive the intake.
  HttpIntake(HttpIntakeOptions options, JournalWriter& journal, PurgeWatch* watch, Clock& clock,
             Random& random, Post post);
  ~HttpIntake();
  HttpIntake(const HttpIntake&) = delete;
  HttpIntake& operator=(const HttpIntake&) = delete;

  void handle(HttpRequest request, HttpReply reply);
  // The answer to what the server refused by itself, and the count of it.
  [[nodiscard]] HttpResponse refuse(unsigned status, std::string_view reason);
  // The daemon stops: from now on everything is answered 503. What is on its way to the journal is
  // still answered as it went.
  void stop();
  [[nodiscard]] const IntakeHttpMetrics& metrics() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace purgeline
