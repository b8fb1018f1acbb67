// Bodies of posts: what is taken, byte for byte, and what is said about the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/posted_events.h"

namespace purgeline {
namespace {

using testing::HasSubstr;

TEST(Posted, BytesSurvive) {
  const std::vector<std::string> events{
      R"({"meta":{"uri":"http://h/a","stream":"s"},"n":1.50,"b":12345678901234567,"t":"\u00e9\/"})",
      R"({ "a" : [ 1 , { "meta" : 2 } , "]}\"" ] , "meta" : { "stream":"s", "uri":"//h/b" } })",
      R"({"$schema":"/mediawiki/job/1.0.0","meta":{"stream":"mediawiki.job.x"}})"};
  PostedReader reader;
  const std::string body = " [ " + events[0] + " ,\n" + events[1] + "," + events[2] + "]\n";
  const auto posted = reader.read(body);
  ASSERT_TRUE(posted) << posted.error().detail;
  ASSERT_EQ(posted->size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ((*posted)[i].problem, "");
    EXPECT_EQ((*posted)[i].json, events[i]);
    EXPECT_EQ(with_meta((*posted)[i], "", ""), events[i]);
  }
}

TEST(Posted, IdAndTimeStandInMeta) {
  PostedReader reader;
  const auto written = [&](const std::string& body) {
    const auto posted = reader.read(body);
    EXPECT_TRUE(posted);
    return with_meta(posted->at(0), "i\"d", "t");
  };
  EXPECT_EQ(written(R"({"x":{"meta":{}},"meta": {"stream":"s","uri":"//h"}})"),
            R"({"x":{"meta":{}},"meta": {"id":"i\"d","dt":"t","stream":"s","uri":"//h"}})");
}

struct Row {
  const char* event;
  const char* problem;
};

TEST(Posted, ProblemsInWords) {
  const std::vector<Row> rows{
      {R"(1)", "an event is a JSON object"},
      {R"([])", "an event is a JSON object"},
      {R"({})", "meta is missing"},
      {R"({"meta":1})", "meta is not an object"},
      {R"({"meta":{}})", "meta.stream is missing"},
      {R"({"meta":{"stream":"s"},"meta":{"stream":"s"}})", "meta stands there twice"},
      {R"({"\u006deta":{"stream":"s","uri":"//h"}})", "the name meta is written with escapes"},
      {R"({"$schema":1,"meta":{"stream":"s"}})", "$schema is not a string"},
      {R"({"meta":{"stream":"a b"}})", "meta.stream is not a stream's name"},
      {R"({"meta":{"stream":""}})", "meta.stream is not a stream's name"},
      {R"({"meta":{"stream":1}})", "meta.stream is not a string"},
      {R"({"meta":{"stream":"s","stream":"t"}})", "meta.stream stands there twice"},
      {R"({"meta":{"stream":"s"}})", "meta.uri is missing"},
      {R"({"meta":{"stream":"s","uri":null}})", "meta.uri is not a string"},
      {R"({"meta":{"stream":"s","uri":"//h","uri":"//i"}})", "meta.uri stands there twice"},
      {R"({"meta":{"stream":"s","uri":"http://h/a b"}})", "the URL has a space"},
      {R"({"meta":{"stream":"s","uri":"http://h/a\r\nb"}})", "the URL has a space"},
      {R"({"meta":{"stream":"s","uri":"ftp://h/"}})", "the URL does not begin with http://"},
      {R"({"meta":{"stream":"s","uri":"http://u@h/"}})", "the URL has a user name"},
      {R"({"meta":{"stream":"s","uri":"//h","dt":"yesterday"}})", "meta.dt is not a time"},
      {R"({"meta":{"stream":"s","uri":"//h","dt":5}})", "meta.dt is not a string"},
      {R"({"meta":{"stream":"s","uri":"//h","id":""}})", "meta.id is empty"},
  };
  PostedReader reader;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.event);
    const auto posted = reader.read(std::string("[") + row.event + "]");
    ASSERT_TRUE(posted) << posted.error().detail;
    EXPECT_THAT(posted->at(0).problem, HasSubstr(row.problem));
  }
}

TEST(Posted, LimitsOfABody) {
  PostedReader reader;
  const std::string event = R"({"meta":{"stream":"s","uri":"//h"}})";
  const auto many = [&](std::size_t count) {
    std::string body = "[" + event;
    for (std::size_t i = 1; i < count; ++i) body += "," + event;
    return body + "]";
  };
  EXPECT_EQ(reader.read(many(10000))->size(), 10000U);
  EXPECT_EQ(reader.read(many(10001)).error().code, Errc::out_of_range);
  const std::string spaces(PostedReader::kMaxBody - event.size(), ' ');
  EXPECT_TRUE(reader.read(event + spaces));
  EXPECT_EQ(reader.read(event + spaces + " ").error().code, Errc::out_of_range);
  const auto deep = [&](std::size_t depth) {
    return R"([{"meta":{"stream":"s","uri":"//h"},"x":)" + std::string(depth - 1, '[') +
           std::string(depth - 1, ']') + "}]";
  };
  EXPECT_EQ(reader.read(deep(32))->at(0).problem, "");
  EXPECT_THAT(reader.read(deep(33))->at(0).problem, HasSubstr("nested deeper than 32"));
  EXPECT_FALSE(reader.read(deep(1000)));
  for (const char* body :
       {"", " ", "[]", "[1,]", "{", "{} {}", "nul", "[\"\xff\"]", "{\"a\":tru}"}) {
    EXPECT_EQ(reader.read(body).error().code, Errc::invalid) << body;
  }
}

}  // namespace
}  // namespace purgeline
