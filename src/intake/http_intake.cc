#include "intake/http_intake.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "decode/posted_events.h"
#include "intake/event_id.h"
#include "purgeline/check.h"
#include "purgeline/http_text.h"
#include "purgeline/utc.h"

namespace purgeline {
namespace {

constexpr unsigned kMaxWait = 30;  // seconds that a client may ask to wait for an outcome
constexpr const char* kJson = "application/json";

HttpResponse problem(unsigned status, std::string_view title, std::string_view detail) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = R"({"title":)";
  write_json_string(response.body, title);
  response.body += R"(,"status":)" + std::to_string(status) + R"(,"detail":)";
  write_json_string(response.body, is_utf8(detail) ? detail : "(not UTF-8)");
  response.body += "}\n";
  return response;
}

HttpResponse try_later(std::string_view detail) {
  HttpResponse response = problem(503, "try later", detail);
  response.fields.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse wrong_method(std::string_view method, std::string allow) {
  HttpResponse response = problem(405, "method not allowed",
                                  std::string(method) + " is not allowed here, " + allow + " are");
  response.fields.emplace_back("Allow", std::move(allow));
  return response;
}

// Takes as long for a near miss as for any other token of the same length.
bool is_same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    different |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  }
  return different == 0;
}

// Seconds of `Prefer: wait=N`, at most kMaxWait; 0 for none. What is malformed is no preference.
unsigned wait_of(const HttpRequest& request) {
  for (const auto& [name, value] : request.fields) {
    if (!HttpRequest::same_name(name, "Prefer")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const std::string_view item = next_element(rest);
      if (item.size() < 6 || !HttpRequest::same_name(item.substr(0, 5), "wait=")) continue;
      unsigned seconds = 0;
      const char* end = item.data() + item.size();
      const auto [stop, error] = std::from_chars(item.data() + 5, end, seconds);
      if (error == std::errc::result_out_of_range) return kMaxWait;
      if (error == std::errc{} && stop == end) return std::min(seconds, kMaxWait);
    }
  }
  return 0;
}

bool is_json(std::string_view content_type) {
  return HttpRequest::same_name(without_blanks(content_type.substr(0, content_type.find(';'))),
                                kJson);
}

// One POST on its way: its body stays until the answer, which shows parts of it.
struct Posted {
  HttpRequest request;
  std::vector<PostedEvent> events;
  std::size_t invalid{0};

  // The body of EventGate's 207, 400 and 500; `failed` is why the valid ones were not taken.
  [[nodiscard]] std::string statuses(std::string_view failed) const {
    std::string out = "{\"invalid\":[";
    append(out, "invalid", true, "");
    out += "],\"error\":[";
    if (!failed.empty()) append(out, "error", false, failed);
    return out + "]}\n";
  }

 private:
  void append(std::string& out, const char* status, bool invalid_ones, std::string_view why) const {
    bool first = true;
    for (const PostedEvent& event : events) {
      if (event.problem.empty() == invalid_ones) continue;
      if (!first) out += ',';
      first = false;
      out.append(R"({"status":")").append(status).append(R"(","event":)").append(event.json);
      out += R"(,"context":{"message":)";
      write_json_string(out, invalid_ones ? event.problem : why);
      out += "}}";
    }
  }
};

// One PURGE on its way.
struct Purge {
  std::string id;
  HttpReply reply;
  unsigned wait{0};  // 0: nobody waits for the outcome
  bool durable{false};
  bool answered{false};
  std::optional<PurgeOutcome> outcome;
};

HttpResponse purge_answer(const Purge& purge) {
  HttpResponse response;
  response.fields.emplace_back("X-Purgeline-Id", purge.id);
  if (!purge.outcome) return response;
  response.status = purge.outcome->finished ? 200 : 202;
  response.fields.emplace_back("Preference-Applied", "wait=" + std::to_string(purge.wait));
  response.content_type = kJson;
  response.body = "{\"id\":";
  write_json_string(response.body, purge.id);
  response.body += purge.outcome->finished ? R"(,"state":"finished","targets":)"
                                           : R"(,"state":"pending","targets":)";
  response.body += (purge.outcome->targets.empty() ? "[]" : purge.outcome->targets) + "}\n";
  return response;
}

}  // namespace

struct HttpIntake::Impl : std::enable_shared_from_this<HttpIntake::Impl> {
  Impl(HttpIntakeOptions options_in, JournalWriter& journal_in, PurgeWatch* watch_in,
       Clock& clock_in, Random& random_in, Post post_in)
      : options(std::move(options_in)),
        journal(journal_in),
        watch(watch_in),
        clock(clock_in),
        random(random_in),
        post(std::move(post_in)) {}

  void handle(HttpRequest request, HttpReply to) {
    const HttpReply reply = [self = shared_from_this(), to = std::move(to)](HttpResponse response) {
      ++self->metrics.answers[intake_status_index(response.status)];
      to(std::move(response));
    };
    clock.refresh();
    if (stopped) {
      HttpResponse response = try_later("purgeline is stopping");
      response.close = true;
      return reply(std::move(response));
    }
    if (!request.local && !is_authorised(request)) {
      HttpResponse response = problem(401, "token required",
                                      "beyond loopback and Unix sockets every request needs the "
                                      "header Authorization: Bearer with the token");
      response.fields.emplace_back("WWW-Authenticate", "Bearer");
      return reply(std::move(response));
    }
    if (request.method == "PURGE") return purge(request, reply);
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (path == "/v1/events") return post_events(std::move(request), reply);
    if (path == "/" || path == "/v1/_info") return reply(info(request));
    reply(
        problem(404, "not found", "here are POST /v1/events, GET /v1/_info and PURGE of any URL"));
  }

  bool is_authorised(const HttpRequest& request) const {
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view value = request.field("Authorization");
    return !options.token.empty() && request.count("Authorization") == 1 &&
           HttpRequest::same_name(value.substr(0, kScheme.size()), kScheme) &&
           is_same_secret(value.substr(kScheme.size()), options.token);
  }

  HttpResponse info(const HttpRequest& request) const {
    if (request.method != "GET" && request.method != "HEAD") {
      return wrong_method(request.method, "GET, HEAD");
    }
    const std::string trouble = journal.trouble();
    HttpResponse response;
    response.content_type = kJson;
    response.body = R"({"name":"purgeline","version":)";
    write_json_string(response.body, options.version);
    response.body += R"(,"trouble":)";
    write_json_string(response.body, trouble);
    response.body += "}\n";
    return response;
  }

  // `then` on the intake's thread, once the events are durable or why they are not.
  void append(std::vector<Append> events, std::function<void(Status)> then) {
    const MonoTime began = clock.now();
    const std::size_t count = events.size();
    auto done = [self = shared_from_this(), began, count,
                 then](Result<std::vector<Offset>> result) {
      self->post([self, began, count, then, result = std::move(result)] {
        self->clock.refresh();
        --self->waiting;
        self->metrics.append.record(self->clock.now() - began);
        self->finish(count, result ? Status{} : Status(tl::unexpected(result.error())), then);
      });
    };
    ++waiting;
    if (journal.append(std::move(events), std::move(done))) return;
    --waiting;
    const std::string trouble = journal.trouble();
    finish(count,
           failure(Errc::unavailable,
                   trouble.empty() ? "too many events wait to be written" : trouble),
           then);
  }

  void finish(std::size_t count, const Status& status, const std::function<void(Status)>& then) {
    metrics.events[static_cast<std::size_t>(status ? IntakeOutcome::accepted
                                                   : IntakeOutcome::failed)] += count;
    then(status);
  }

  void post_events(HttpRequest request, const HttpReply& reply) {
    if (request.method != "POST") return reply(wrong_method(request.method, "POST"));
    if (!is_json(request.field("Content-Type")) || request.count("Content-Encoding") > 0) {
      return reply(problem(415, "unsupported media type",
                           "the body is application/json, without Content-Encoding"));
    }
    const bool hasty = is_hasty(request.target);
    const auto posted = std::make_shared<Posted>();
    posted->request = std::move(request);
    auto events = reader.read(posted->request.body);
    if (!events) {
      const bool large = events.error().code == Errc::out_of_range;
      return reply(
          problem(large ? 413 : 400, large ? "too large" : "no events", events.error().detail));
    }
    posted->events = std::move(*events);
    std::vector<Append> appends = check_events(*posted);
    metrics.events[static_cast<std::size_t>(IntakeOutcome::invalid)] += posted->invalid;
    if (appends.empty())
      return reply(hasty ? HttpResponse{202, {}, {}, {}, false} : statuses(400, *posted, ""));
    append(std::move(appends), [posted, reply, hasty](const Status& status) {
      if (!status) {
        HttpResponse response = statuses(503, *posted, status.error().detail);
        response.fields.emplace_back("Retry-After", "1");
        return reply(std::move(response));
      }
      if (hasty) return reply(HttpResponse{202, {}, {}, {}, false});
      if (posted->invalid > 0) return reply(statuses(207, *posted, ""));
      reply(HttpResponse{201, {}, {}, {}, false});
    });
  }

  // EventGate's own switch: the answer says nothing about the events.
  static bool is_hasty(std::string_view target) {
    for (std::string_view query = target.substr(std::min(target.size(), target.find('?')));
         !query.empty();) {
      query.remove_prefix(1);
      const std::string_view item = query.substr(0, query.find('&'));
      if (item == "hasty=true") return true;
      query.remove_prefix(item.size());
    }
    return false;
  }

  static HttpResponse statuses(unsigned status, const Posted& posted, std::string_view failed) {
    HttpResponse response;
    response.status = status;
    response.content_type = kJson;
    response.body = posted.statuses(failed);
    return response;
  }

  // What is to be appended of a body; the others get their problem.
  std::vector<Append> check_events(Posted& posted) {
    std::vector<Append> appends;
    appends.reserve(posted.events.size());
    const std::string now = utc_text(clock.wall(), Fraction::microseconds);
    for (PostedEvent& event : posted.events) {
      if (event.problem.empty() && !is_taken(event.stream)) {
        event.problem = "meta.stream " + event.stream + " is not taken here: intake.http.streams";
      }
      std::string topic = options.topic_prefix + event.stream;
      if (event.problem.empty() && options.streams.empty() && !journal.takes_topic(topic)) {
        event.problem =
            "meta.stream " + event.stream +
            " would be one topic more than are kept; intake.http.streams can name those "
            "that are wanted";
      }
      if (!event.problem.empty()) {
        ++posted.invalid;
        continue;
      }
      const std::string id = event.id.empty() ? make_event_id(random) : "";
      appends.push_back(
          {std::move(topic), "", with_meta(event, id, event.has_dt ? "" : now), clock.wall()});
    }
    return appends;
  }

  bool is_taken(const std::string& stream) const {
    const auto& streams = options.streams;
    return streams.empty() || std::find(streams.begin(), streams.end(), stream) != streams.end();
  }

  // The URL of a PURGE: that of the request line, or Host and the path of the request line.
  static Result<std::string> purge_url(const HttpRequest& request) {
    const std::string& target = request.target;
    if (target.empty() || target.front() != '/') return target;
    if (request.count("Host") != 1 || request.field("Host").empty()) {
      return failure(Errc::invalid, "a PURGE of a path needs one Host");
    }
    // The splitter checks what a host is made of, but not where a Host field ends.
    if (request.field("Host").find_first_of("/?#") != std::string_view::npos) {
      return failure(Errc::invalid, "Host is more than a host");
    }
    return "http://" + std::string(request.field("Host")) + target;
  }

  void purge(const HttpRequest& request, const HttpReply& reply) {
    const auto refuse = [&](const std::string& why) {
      ++metrics.events[static_cast<std::size_t>(IntakeOutcome::invalid)];
      reply(problem(400, "not a URL to purge", why));
    };
    const auto url = purge_url(request);
    if (!url) return refuse(url.error().detail);
    Url parts;
    if (const auto reason = splitter.split(*url, parts)) return refuse(url_problem(*reason));
    const auto purge = std::make_shared<Purge>();
    purge->id = make_event_id(random);
    purge->reply = reply;
    Append event{options.purge_topic, "", "", clock.wall()};
    const std::string now = utc_text(clock.wall(), Fraction::microseconds);
    if (!write_purge_event({*url, purge->id, now, options.purge_topic, "http"}, event.value)) {
      return refuse(url_problem(RejectReason::not_utf8));
    }
    watch_purge(purge, wait_of(request));
    append({std::move(event)}, [self = shared_from_this(), purge](const Status& status) {
      if (status) {
        purge->durable = true;
        return answer_purge(*purge);
      }
      if (purge->wait > 0) self->watch->forget(purge->id);
      purge->answered = true;
      purge->reply(try_later(status.error().detail));
    });
  }

  // Before the event is in the log: afterwards its outcome could be missed.
  void watch_purge(const std::shared_ptr<Purge>& purge, unsigned wait) {
    if (wait == 0 || watch == nullptr) return;
    const auto told = [self = shared_from_this(), purge](PurgeOutcome outcome) {
      self->post([purge, outcome = std::move(outcome)] {
        purge->outcome = outcome;
        answer_purge(*purge);
      });
    };
    if (watch->watch(purge->id, std::chrono::seconds(wait), told)) purge->wait = wait;
  }

  static void answer_purge(Purge& purge) {
    if (purge.answered || !purge.durable || (purge.wait > 0 && !purge.outcome)) return;
    purge.answered = true;
    purge.reply(purge_answer(purge));
  }

  HttpIntakeOptions options;
  JournalWriter& journal;
  PurgeWatch* watch;
  Clock& clock;
  Random& random;
  Post post;
  PostedReader reader;
  UrlSplitter splitter;
  IntakeHttpMetrics metrics;
  std::size_t waiting{0};
  bool stopped{false};
};

HttpIntake::HttpIntake(HttpIntakeOptions options, JournalWriter& journal, PurgeWatch* watch,
                       Clock& clock, Random& random, Post post)
    : impl_(std::make_shared<Impl>(std::move(options), journal, watch, clock, random,
                                   std::move(post))) {}

HttpIntake::~HttpIntake() = default;

void HttpIntake::handle(HttpRequest request, HttpReply reply) {
  impl_->handle(std::move(request), std::move(reply));
}

HttpResponse HttpIntake::refuse(unsigned status, std::string_view reason) {
  ++impl_->metrics.answers[intake_status_index(status)];
  HttpResponse response = problem(status, "not a request that is read here", reason);
  response.close = true;
  return response;
}

void HttpIntake::stop() {
  impl_->stopped = true;
}

const IntakeHttpMetrics& HttpIntake::metrics() const {
  impl_->metrics.waiting = static_cast<double>(impl_->waiting);
  return impl_->metrics;
}

}  // namespace purgeline
