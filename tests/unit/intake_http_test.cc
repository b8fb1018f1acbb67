// The HTTP intake as a function: requests in, a journal in memory, answers out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "decode/resource_change.h"
#include "intake/event_id.h"
#include "intake/http_intake.h"
#include "unit/intake_support.h"

namespace purgeline {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class FakeWatch : public PurgeWatch {
 public:
  bool watch(const std::string& id, Duration wait, Told told) override {
    if (full) return false;
    watched[id] = std::move(told);
    waited = wait;
    return true;
  }
  void forget(const std::string& id) override { watched.erase(id); }
  std::map<std::string, Told> watched;
  Duration waited{};
  bool full{false};
};

class HttpIntakeTest : public testing::Test {
 protected:
  HttpIntakeTest() { make({}); }

  void make(HttpIntakeOptions options) {
    options.version = "1.2.3";
    intake_.emplace(std::move(options), journal_, &watch_, clock_, random_, queue_.post());
  }
  // The answer, or nothing while it is waited for.
  std::optional<HttpResponse> ask(HttpRequest request) {
    answer_.reset();
    intake_->handle(std::move(request), [this](HttpResponse response) {
      EXPECT_FALSE(answer_) << "answered twice";
      answer_ = std::move(response);
    });
    queue_.run();
    return answer_;
  }
  HttpResponse answer(HttpRequest request) {
    const auto response = ask(std::move(request));
    EXPECT_TRUE(response) << "no answer";
    return response.value_or(HttpResponse{});
  }
  static HttpRequest post(std::string body, std::string target = "/v1/events") {
    return {
        "POST", std::move(target), {{"content-type", "application/json"}}, std::move(body), true};
  }
  static HttpRequest purge(std::string target, HttpFields fields = {{"Host", "h"}}) {
    return {"PURGE", std::move(target), std::move(fields), "", true};
  }
  static std::string field(const HttpResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.fields) {
      if (key == name) return value;
    }
    return "";
  }

  test::FakeClock clock_;
  test::FakeRandom random_;
  test::FakeJournal journal_;
  test::Queue queue_;
  FakeWatch watch_;
  std::optional<HttpResponse> answer_;
  std::optional<HttpIntake> intake_;
};

constexpr const char* kEvent =
    R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://it.wikipedia.org/wiki/A",)"
    R"("request_id":"5f6b","id":"1a6f","dt":"2023-04-05T10:11:12Z","domain":"it.wikipedia.org",)"
    R"("stream":"resource-purge"},"tags":["mediawiki"]})";

TEST_F(HttpIntakeTest, AnEventOfEventBusGoesThroughUnchanged) {
  make({.topic_prefix = "eqiad.", .purge_topic = "p", .streams = {}, .token = {}, .version = {}});
  const HttpResponse response = answer(post(std::string("[") + kEvent + "]"));
  EXPECT_EQ(response.status, 201U);
  EXPECT_EQ(response.body, "");
  ASSERT_EQ(journal_.written.size(), 1U);
  EXPECT_EQ(journal_.written[0].topic, "eqiad.resource-purge");
  EXPECT_EQ(journal_.written[0].value, kEvent);
  EXPECT_EQ(journal_.written[0].time, clock_.wall());
}

TEST_F(HttpIntakeTest, OneEventWithoutAnArrayWillDo) {
  EXPECT_EQ(answer(post(kEvent)).status, 201U);
  EXPECT_EQ(journal_.written.size(), 1U);
}

TEST_F(HttpIntakeTest, MissingIdAndTimeAreWrittenIn) {
  EXPECT_EQ(answer(post(R"({"meta":{"uri":"http://h/a","stream":"s"}})")).status, 201U);
  ASSERT_EQ(journal_.written.size(), 1U);
  PurgeDecoder decoder;
  const DecodeResult result = decoder.decode(journal_.written[0].value);
  ASSERT_EQ(result.kind, DecodeKind::event);
  EXPECT_EQ(result.event.id.size(), 36U);
  EXPECT_EQ(result.event.dt, std::chrono::floor<std::chrono::microseconds>(clock_.wall()));
  EXPECT_EQ(result.event.target, "/a");
}

TEST_F(HttpIntakeTest, NothingIsAnsweredBeforeItIsDurable) {
  journal_.at_once = false;
  EXPECT_FALSE(ask(post(kEvent)));
  EXPECT_EQ(intake_->metrics().waiting, 1);
  clock_.advance(std::chrono::milliseconds(3));
  journal_.write();
  queue_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->status, 201U);
  EXPECT_EQ(intake_->metrics().waiting, 0);
  EXPECT_EQ(intake_->metrics().append.total(), 1U);
}

TEST_F(HttpIntakeTest, SomeInvalidIs207AndAllInvalidIs400) {
  const std::string bad = R"({"meta":{"stream":"s","n":1.50e1}})";
  const HttpResponse some = answer(post("[" + bad + "," + kEvent + "]"));
  EXPECT_EQ(some.status, 207U);
  EXPECT_EQ(some.content_type, "application/json");
  EXPECT_EQ(some.body, R"({"invalid":[{"status":"invalid","event":)" + bad +
                           R"(,"context":{"message":"meta.uri is missing"}}],"error":[]})" + "\n");
  EXPECT_EQ(journal_.written.size(), 1U);
  const HttpResponse all = answer(post("[" + bad + "," + bad + "]"));
  EXPECT_EQ(all.status, 400U);
  EXPECT_THAT(all.body, StartsWith(R"({"invalid":[{"status":"invalid")"));
  EXPECT_EQ(journal_.written.size(), 1U);
  EXPECT_EQ(intake_->metrics().events[1], 3U);
}

TEST_F(HttpIntakeTest, OneTopicTooManyIsInvalidAndSaysWhatToDo) {
  journal_.refused_topic = "eqiad.invented";
  HttpIntakeOptions options;
  options.topic_prefix = "eqiad.";
  make(options);
  const std::string invented = R"({"meta":{"uri":"http://h/a","stream":"invented"}})";
  const HttpResponse some = answer(post("[" + invented + "," + kEvent + "]"));
  EXPECT_EQ(some.status, 207U);
  EXPECT_THAT(some.body, HasSubstr("meta.stream invented would be one topic more than are kept; "
                                   "intake.http.streams can name those that are wanted"));
  EXPECT_EQ(journal_.written.size(), 1U);
  EXPECT_EQ(answer(post(invented)).status, 400U);
  EXPECT_EQ(journal_.written.size(), 1U);
}

TEST_F(HttpIntakeTest, StreamsThatAreNamedAreTakenHoweverManyTopicsThereAre) {
  journal_.refused_topic = "wanted";
  HttpIntakeOptions options;
  options.streams = {"wanted"};
  make(options);
  EXPECT_EQ(answer(post(R"({"meta":{"uri":"http://h/a","stream":"wanted"}})")).status, 201U);
}

TEST_F(HttpIntakeTest, HastyIs202WhateverTheEventsAre) {
  EXPECT_EQ(answer(post(kEvent, "/v1/events?hasty=true")).status, 202U);
  EXPECT_EQ(answer(post(R"([{"a":1}])", "/v1/events?x=1&hasty=true")).status, 202U);
  EXPECT_EQ(answer(post(R"([{"a":1}])", "/v1/events?hasty=false")).status, 400U);
  EXPECT_EQ(journal_.written.size(), 1U);
}

TEST_F(HttpIntakeTest, AFullOrBrokenLogIs503WithItsWords) {
  journal_.full = true;
  journal_.words = "the disk is full";
  HttpResponse response = answer(post(kEvent));
  EXPECT_EQ(response.status, 503U);
  EXPECT_EQ(field(response, "Retry-After"), "1");
  EXPECT_THAT(response.body, HasSubstr(R"("error":[{"status":"error","event":{"$schema")"));
  EXPECT_THAT(response.body, HasSubstr("the disk is full"));
  response = answer(purge("/a"));
  EXPECT_EQ(response.status, 503U);
  EXPECT_THAT(response.body, HasSubstr("the disk is full"));
  journal_.full = false;
  journal_.error = Error{Errc::no_space, "no space left"};
  response = answer(post(kEvent, "/v1/events?hasty=true"));
  EXPECT_EQ(response.status, 503U);
  EXPECT_THAT(response.body, HasSubstr("no space left"));
  EXPECT_EQ(intake_->metrics().events[2], 3U);
  EXPECT_EQ(intake_->metrics().events[0], 0U);
}

TEST_F(HttpIntakeTest, OnlyStreamsThatAreTaken) {
  make({.topic_prefix = {}, .purge_topic = "p", .streams = {"a", "b"}, .token = {}, .version = {}});
  EXPECT_EQ(answer(post(R"({"meta":{"uri":"http://h/","stream":"b"}})")).status, 201U);
  const HttpResponse response = answer(post(R"({"meta":{"uri":"http://h/","stream":"c"}})"));
  EXPECT_EQ(response.status, 400U);
  EXPECT_THAT(response.body, HasSubstr("meta.stream c is not taken here"));
}

struct PurgeRow {
  const char* target;
  HttpFields fields;
  const char* uri;  // "" when it is refused
};

TEST_F(HttpIntakeTest, PurgeInBothForms) {
  const std::vector<PurgeRow> rows{
      {"/wiki/A", {{"Host", "en.example.org"}}, "http://en.example.org/wiki/A"},
      {"/wiki/A?wait=3&hasty=true", {{"host", "h:81"}}, "http://h:81/wiki/A?wait=3&hasty=true"},
      {"/v1/events", {{"Host", "h"}}, "http://h/v1/events"},
      {"http://x/wiki/A", {{"Host", "other"}}, "http://x/wiki/A"},
      {"https://x/a\"b\\c", {}, "https://x/a\\\"b\\\\c"},
      {"/a", {}, ""},
      {"/a", {{"Host", "h"}, {"Host", "h"}}, ""},
      {"/a", {{"Host", "u@h"}}, ""},
      {"*", {{"Host", "h"}}, ""},
      {"h:443", {{"Host", "h"}}, ""},
      {"/\xff", {{"Host", "h"}}, ""},
      {"/a\tb", {{"Host", "h"}}, ""},
  };
  for (const PurgeRow& row : rows) {
    SCOPED_TRACE(row.target);
    journal_.written.clear();
    const HttpResponse response = answer(purge(row.target, row.fields));
    if (row.uri[0] == '\0') {
      EXPECT_EQ(response.status, 400U);
      EXPECT_TRUE(journal_.written.empty());
      continue;
    }
    EXPECT_EQ(response.status, 200U);
    EXPECT_EQ(response.body, "");
    ASSERT_EQ(journal_.written.size(), 1U);
    const std::string& value = journal_.written[0].value;
    EXPECT_THAT(value, HasSubstr("\"uri\":\"" + std::string(row.uri) + "\""));
    EXPECT_THAT(value, HasSubstr("\"id\":\"" + field(response, "X-Purgeline-Id") + "\""));
    EXPECT_EQ(journal_.written[0].topic, "resource-purge");
    PurgeDecoder decoder;
    EXPECT_EQ(decoder.decode(value).kind, DecodeKind::event);
  }
}

// Host names a host: what has a path in it would make the URL say something else than its parts.
TEST_F(HttpIntakeTest, HostHasNoPath) {
  for (const char* host : {"h/x", "h?x", "h#x", "h x", ""}) {
    EXPECT_EQ(answer(purge("/a", {{"Host", host}})).status, 400U) << host;
  }
  EXPECT_TRUE(journal_.written.empty());
}

TEST_F(HttpIntakeTest, PreferWaitGivesTheOutcome) {
  ASSERT_FALSE(ask(purge("/a", {{"Host", "h"}, {"Prefer", "respond-async, wait=7"}})));
  ASSERT_EQ(watch_.watched.size(), 1U);
  EXPECT_EQ(watch_.waited, std::chrono::seconds(7));
  EXPECT_EQ(journal_.written.size(), 1U);
  watch_.watched.begin()->second({true, R"([{"target":"t","outcome":"purged"}])"});
  queue_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->status, 200U);
  EXPECT_EQ(field(*answer_, "Preference-Applied"), "wait=7");
  EXPECT_THAT(answer_->body, HasSubstr(R"("targets":[{"target":"t","outcome":"purged"}])"));
  ASSERT_FALSE(ask(purge("/a", {{"Host", "h"}, {"Prefer", "wait=31"}})));
  EXPECT_EQ(watch_.waited, std::chrono::seconds(30));
  watch_.watched.rbegin()->second({false, ""});
  watch_.watched.begin()->second({false, ""});
  queue_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->status, 202U);
  EXPECT_THAT(answer_->body, HasSubstr(R"("state":"pending","targets":[])"));
}

// The outcome may be known before the word that the event is durable has come round.
TEST_F(HttpIntakeTest, AnOutcomeWaitsForTheJournal) {
  journal_.at_once = false;
  ASSERT_FALSE(ask(purge("/a", {{"Host", "h"}, {"Prefer", "wait=1"}})));
  watch_.watched.begin()->second({true, "[]"});
  queue_.run();
  EXPECT_FALSE(answer_);
  journal_.write();
  queue_.run();
  EXPECT_TRUE(answer_);
}

TEST_F(HttpIntakeTest, WithoutRoomToWatchItIsAnsweredWithoutOutcome) {
  watch_.full = true;
  const HttpResponse response = answer(purge("/a", {{"Host", "h"}, {"Prefer", "wait=1"}}));
  EXPECT_EQ(response.status, 200U);
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(field(response, "Preference-Applied"), "");
  for (const char* prefer : {"wait=0", "wait=", "wait=-1", "wait=1s", "wait", "return=minimal,"}) {
    watch_.full = false;
    EXPECT_EQ(answer(purge("/a", {{"Host", "h"}, {"Prefer", prefer}})).body, "") << prefer;
    EXPECT_TRUE(watch_.watched.empty());
  }
}

TEST_F(HttpIntakeTest, WhatIsNotTakenIsNotWatched) {
  journal_.full = true;
  EXPECT_EQ(answer(purge("/a", {{"Host", "h"}, {"Prefer", "wait=1"}})).status, 503U);
  EXPECT_TRUE(watch_.watched.empty());
}

TEST_F(HttpIntakeTest, BeyondThisHostATokenIsNeeded) {
  HttpRequest request = purge("/a");
  request.local = false;
  EXPECT_EQ(answer(request).status, 401U) << "no token is configured: nobody has it";
  request.fields = {{"Host", "h"}, {"Authorization", "Bearer "}};
  EXPECT_EQ(answer(request).status, 401U) << "not even somebody who shows none";
  make({.topic_prefix = {}, .purge_topic = "p", .streams = {}, .token = "s3cret", .version = {}});
  const HttpResponse refused = answer(request);
  EXPECT_EQ(refused.status, 401U);
  EXPECT_EQ(field(refused, "WWW-Authenticate"), "Bearer");
  EXPECT_THAT(refused.body, Not(HasSubstr("s3cret")));
  for (const char* wrong : {"Bearer s3creT", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret",
                            "s3cret", "Bearer ", "Bearer"}) {
    request.fields = {{"Host", "h"}, {"Authorization", wrong}};
    EXPECT_EQ(answer(request).status, 401U) << wrong;
  }
  request.fields = {{"Host", "h"}, {"authorization", "bearer s3cret"}};
  EXPECT_EQ(answer(request).status, 200U);
  request.fields.emplace_back("Authorization", "Bearer s3cret");
  EXPECT_EQ(answer(request).status, 401U);
  EXPECT_EQ(answer(purge("/a")).status, 200U) << "local requests need none";
}

TEST_F(HttpIntakeTest, OtherRequests) {
  const auto status = [this](const char* method, const char* target) {
    return answer({method, target, {}, "", true}).status;
  };
  EXPECT_EQ(status("GET", "/"), 200U);
  EXPECT_EQ(status("HEAD", "/v1/_info"), 200U);
  EXPECT_EQ(status("POST", "/"), 405U);
  EXPECT_EQ(status("GET", "/v1/events"), 405U);
  EXPECT_EQ(status("GET", "/v1/event"), 404U);
  EXPECT_EQ(status("BAN", "/.*"), 404U);
  EXPECT_EQ(answer({"POST", "/v1/events", {{"Content-Type", "text/plain"}}, kEvent, true}).status,
            415U)
      << "a web page may send that from a visitor's browser";
  EXPECT_EQ(answer({"POST",
                    "/v1/events",
                    {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}},
                    kEvent,
                    true})
                .status,
            415U);
  const HttpResponse allow = answer({"PUT", "/v1/events", {}, "", true});
  EXPECT_EQ(field(allow, "Allow"), "POST");
  EXPECT_THAT(answer({"GET", "/", {}, "", true}).body, HasSubstr(R"("version":"1.2.3")"));
  EXPECT_EQ(answer(post("")).status, 400U);
  EXPECT_EQ(answer(post("[]")).status, 400U);
  EXPECT_TRUE(journal_.written.empty());
}

TEST_F(HttpIntakeTest, AStoppingIntakeTakesNothingMore) {
  journal_.at_once = false;
  EXPECT_FALSE(ask(post(kEvent)));
  intake_->stop();
  journal_.write();
  queue_.run();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->status, 201U) << "what was on its way is answered as it went";
  const HttpResponse response = answer(post(kEvent));
  EXPECT_EQ(response.status, 503U);
  EXPECT_TRUE(response.close);
  EXPECT_EQ(journal_.written.size(), 1U);
}

TEST(EventId, IsARandomUuid) {
  test::FakeRandom random;
  const std::string id = make_event_id(random);
  EXPECT_THAT(id, testing::MatchesRegex(
                      "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(id, make_event_id(random));
}

}  // namespace
}  // namespace purgeline
