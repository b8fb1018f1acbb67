#include "decode/resource_change.h"

#include <gtest/gtest.h>

#include "decode/rejects.h"
#include "decode/time.h"
#include "decode/url.h"
#include "support/allocations.h"

namespace purgeline {
namespace {

struct UrlRow {
  std::string uri;
  const char* host;
  const char* target;
};

TEST(Url, TargetBytesSurvive) {
  const std::vector<UrlRow> rows{
      {"https://it.wikipedia.org/wiki/Francesco_Totti", "it.wikipedia.org",
       "/wiki/Francesco_Totti"},
      {"http://h/", "h", "/"},
      {"https://h", "h", "/"},
      {"https://h?x", "h", "/?x"},
      {"https://h?", "h", "/?"},
      {"https://h#f", "h", "/"},
      {"https://h/a#f?x", "h", "/a"},
      {"https://h/a?b#c", "h", "/a?b"},
      {"//h/a", "h", "/a"},
      {"HTTPS://EN.Wiki.ORG/A%c3%A9", "en.wiki.org", "/A%c3%A9"},
      {"http://h:80/", "h", "/"},
      {"http://h:443/", "h:443", "/"},
      {"https://h:443/", "h", "/"},
      {"https://h:80/", "h:80", "/"},
      {"//h:443/", "h", "/"},
      {"http://h:8080/x", "h:8080", "/x"},
      {"http://h:0080/x", "h", "/x"},
      {"http://h:/x", "h", "/x"},
      {"http://[2001:DB8::1]:81/x", "[2001:db8::1]:81", "/x"},
      {"http://h/Paulo_Roberto_Falc\xc3\xa3o", "h", "/Paulo_Roberto_Falc\xc3\xa3o"},
      {"http://h/a|b\"c<d>e^f`{g}\\h", "h", "/a|b\"c<d>e^f`{g}\\h"},
      {"http://h//a/../b/./c", "h", "//a/../b/./c"},
      {"http://h/a@b:c", "h", "/a@b:c"},
      {"http://h/w/index.php?title=A&b=%0d%0a", "h", "/w/index.php?title=A&b=%0d%0a"},
      {"http://a_b-c.d/", "a_b-c.d", "/"},
  };
  UrlSplitter splitter;
  for (const UrlRow& row : rows) {
    SCOPED_TRACE(row.uri);
    Url url;
    const auto reason = splitter.split(row.uri, url);
    ASSERT_FALSE(reason) << reject_reason_name(*reason);
    EXPECT_EQ(url.host, row.host);
    EXPECT_EQ(url.target, row.target);
  }
}

TEST(Url, Refused) {
  const std::string long_path = "http://h/" + std::string(UrlSplitter::kMaxUri - 9, 'a');
  const std::vector<std::pair<std::string, RejectReason>> rows{
      {"", RejectReason::no_uri},
      {"/wiki/A", RejectReason::bad_scheme},
      {"ftp://h/", RejectReason::bad_scheme},
      {"h/a", RejectReason::bad_scheme},
      {"javascript:alert(1)", RejectReason::bad_scheme},
      {"http:/h/", RejectReason::bad_scheme},
      {"http://", RejectReason::bad_host},
      {"http:///a", RejectReason::bad_host},
      {"http://?a", RejectReason::bad_host},
      {"http://:80/", RejectReason::bad_host},
      {"http://u@h/", RejectReason::user_info},
      {"http://u:p@h/", RejectReason::user_info},
      {"http://h\\@evil/", RejectReason::user_info},
      {"http://h\\x/", RejectReason::bad_host},
      {"http://h%41/", RejectReason::bad_host},
      {"http://h\xc3\xa9/", RejectReason::bad_host},
      {"http://[::1/", RejectReason::bad_host},
      {"http://[::zz]/", RejectReason::bad_host},
      {"http://[::1]x/", RejectReason::bad_host},
      {"http://" + std::string(254, 'a') + "/", RejectReason::bad_host},
      {"http://h:0/", RejectReason::bad_port},
      {"http://h:65536/", RejectReason::bad_port},
      {"http://h:8a/", RejectReason::bad_port},
      {"http://h:-1/", RejectReason::bad_port},
      {"http://h:80:81/", RejectReason::bad_port},
      {"http://h/a b", RejectReason::bad_character},
      {"http://h/a\r\nX: y", RejectReason::bad_character},
      {"http://h/\n", RejectReason::bad_character},
      {std::string("http://h/\0", 10), RejectReason::bad_character},
      {"http://h/\x7f", RejectReason::bad_character},
      {"http://h\t/", RejectReason::bad_character},
      {" http://h/", RejectReason::bad_character},
      {long_path + "a", RejectReason::too_long},
  };
  UrlSplitter splitter;
  Url url;
  for (const auto& [uri, expected] : rows) {
    SCOPED_TRACE(uri);
    const auto reason = splitter.split(uri, url);
    ASSERT_TRUE(reason.has_value());
    EXPECT_STREQ(reject_reason_name(*reason), reject_reason_name(expected));
  }
  EXPECT_FALSE(splitter.split(long_path, url));
}

// They are looked for eight bytes at a time: each byte has its turn at each place of a URL whose
// length is and is not a multiple of that, beside bytes that a carry could reach.
TEST(Url, SpacesAndControlCharactersAreSeenWhereverTheyStand) {
  UrlSplitter splitter;
  Url url;
  for (const char beside : {'!', '~', '\xff', '\x80', 'a'}) {
    for (std::size_t length = 9; length <= 26; ++length) {
      for (std::size_t at = 9; at < length; ++at) {
        for (int byte = 0; byte < 256; ++byte) {
          std::string uri = "http://h/" + std::string(length - 9, beside);
          uri[at] = static_cast<char>(byte);
          const bool bad = byte <= 0x20 || byte == 0x7F;
          const auto reason = splitter.split(uri, url);
          ASSERT_EQ(reason.has_value(), bad) << "byte " << byte << " at " << at << " of " << length;
          if (bad) {
            ASSERT_EQ(*reason, RejectReason::bad_character);
          }
        }
      }
    }
  }
}

TEST(Url, KeysAreEqualExactlyWhenHostAndTargetAre) {
  UrlSplitter splitter;
  const auto key = [&splitter](std::string_view uri) {
    Url url;
    EXPECT_FALSE(splitter.split(uri, url));
    return url.key;
  };
  EXPECT_EQ(key("http://H/a"), key("https://h:443/a"));
  EXPECT_EQ(key("http://h/a#x"), key("//h/a"));
  EXPECT_NE(key("http://h/a"), key("http://h/A"));
  EXPECT_NE(key("http://h/%41"), key("http://h/A"));
  EXPECT_NE(key("http://h/%c3"), key("http://h/%C3"));
  EXPECT_NE(key("http://h:81/a"), key("http://h/a"));
}

struct TimeRow {
  const char* text;
  std::optional<std::int64_t> milliseconds;
};

TEST(Time, AsProducersWriteIt) {
  for (const TimeRow& row : std::vector<TimeRow>{
           {"1970-01-01T00:00:00Z", 0},
           {"2023-04-05T10:11:12Z", 1680689472000},
           {"2026-08-21T13:56:20.417Z", 1787320580417},
           {"2026-08-21T13:56:20.4179999Z", 1787320580417},
           {"2026-08-21T15:56:20.417+02:00", 1787320580417},
           {"2026-08-21T11:26:20.417-0230", 1787320580417},
           {"2024-02-29T00:00:00Z", 1709164800000},
           {"2023-02-29T00:00:00Z", {}},
           {"", {}},
           {"now", {}},
           {"2026-08-21", {}},
           {"2026-08-21T13:56:20", {}},
           {"2026-08-21T13:56:20.Z", {}},
           {"2026-08-21T25:56:20Z", {}},
           {"2026-08-21T13:56:20Zx", {}},
           {"9999-12-31T23:59:59Z", {}},
           {"1969-12-31T23:59:59Z", {}},
       }) {
    SCOPED_TRACE(row.text);
    const auto time = parse_time(row.text);
    ASSERT_EQ(time.has_value(), row.milliseconds.has_value());
    if (time) {
      EXPECT_EQ(std::chrono::floor<std::chrono::milliseconds>(time->time_since_epoch()).count(),
                *row.milliseconds);
    }
  }
}

TEST(Decode, WhatMediaWikiAndChangePropSend) {
  PurgeDecoder decoder;
  const DecodeResult core = decoder.decode(std::string_view(R"({"$schema":"/resource_change/1.0.0",
    "meta":{"uri":"https://it.wikipedia.org/wiki/Francesco_Totti","request_id":"5f6b0c1e",
    "id":"1a6f5d1c-7d4e-4a35-8a0b-5f3c2f1d9e77","dt":"2023-04-05T10:11:12Z",
    "domain":"it.wikipedia.org","stream":"resource-purge"},"tags":["mediawiki"]})"));
  ASSERT_EQ(core.kind, DecodeKind::event);
  EXPECT_EQ(core.event.host, "it.wikipedia.org");
  EXPECT_EQ(core.event.target, "/wiki/Francesco_Totti");
  EXPECT_EQ(core.event.id, "1a6f5d1c-7d4e-4a35-8a0b-5f3c2f1d9e77");
  EXPECT_EQ(core.event.tag, Tag::mediawiki);
  EXPECT_TRUE(core.event.dt.has_value());
  const DecodeResult derived =
      decoder.decode(std::string_view(R"({"$schema":"/resource_change/1.0.0",
    "meta":{"uri":"http://es.wikipedia.org/api/rest_v1/page/html/Orquesta_de_Cadaqu%C3%A9s",
    "stream":"resource-purge","domain":"es.wikipedia.org","dt":"2026-08-21T13:55:58.100Z","id":"x"},
    "root_event":{"dt":"2026-08-21T12:00:00Z","signature":"abc"},"triggered_by":"a:b"})"));
  ASSERT_EQ(derived.kind, DecodeKind::event);
  EXPECT_EQ(derived.event.target, "/api/rest_v1/page/html/Orquesta_de_Cadaqu%C3%A9s");
  EXPECT_EQ(derived.event.tag, Tag::none);
}

// Each of `brackets` one deeper, inside the document's own object.
std::string nested(std::size_t brackets) {
  return R"({"meta":{"uri":"http://h/a"},"x":)" + std::string(brackets, '[') +
         std::string(brackets, ']') + "}";
}

struct EventRow {
  std::string json;
  const char* outcome;  // "event", "canary" or a reason
};

TEST(Decode, Table) {
  const std::vector<EventRow> rows{
      {R"({"meta":{"uri":"http://h/a"}})", "event"},
      {R"({"meta":{"uri":"http://h/a","dt":null},"root_event":null})", "event"},
      {R"({"meta":{"uri":"http://h/a","dt":17}})", "event"},
      {R"({"meta":{"uri":"http://h/a","dt":"yesterday","id":[1,{"a":2}]},"x":{"y":[[[]]]}})",
       "event"},
      {R"({"meta":{"uri":"http:\/\/h\/\u00e3"}})", "event"},
      {"{\"meta\":{\"uri\":\"http://h/\xc3\xa3\"}}", "event"},
      {R"({"meta":{"uri":"http://h/a"},"tags":"mediawiki"})", "event"},
      {R"({"meta":{"uri":"http://h/a"},"tags":[7]})", "event"},
      {R"({"meta":{"domain":"canary","uri":"http://h/a"}})", "canary"},
      {R"({"meta":{"uri":"bad","domain":"canary"}})", "canary"},
      {R"({"meta":{"domain":"canary"},"meta":{"uri":"http://h/a"}})", "duplicate_key"},
      {R"({"meta":{"uri":"http://h/a"},"meta":{"domain":"canary"}})", "duplicate_key"},
      {nested(PurgeDecoder::kMaxDepth - 1), "event"},
      {nested(PurgeDecoder::kMaxDepth), "not_json"},
      {nested(100000), "not_json"},
      {R"({"meta":{"uri":"http://h/a"},"x":"\")" + std::string(100, '[') + R"("})", "event"},
      {R"({"meta":{"uri":"http://h/a"},"x":[{},[],{},[],{},[],{},[],{},[],{},[],{},[],{},[],)"
       R"({},[],{},[],{},[],{},[],{},[],{},[],{},[],{},[],{},[],{}]})",
       "event"},
      {R"({"meta":{"uri":"http://h/\udc00"}})", "not_json"},
      {R"({"meta":{"uri":"http://h/\ud800a"}})", "not_json"},
      {R"({"meta":{"uri":"http://h/\ud83d\ude00"}})", "event"},
      {"", "tombstone"},
      {"null", "not_json"},
      {"[]", "not_json"},
      {"17", "not_json"},
      {"hello", "not_json"},
      {R"({"meta":{"uri":"http://h/a"})", "not_json"},
      {R"({"meta":{"uri":"http://h/a"}}})", "not_json"},
      {R"({"meta":{"uri":"http://h/a"}} {})", "not_json"},
      {R"({"meta":{"uri":"http://h/a}})", "not_json"},
      {R"({"meta":{"uri":"http://h/\ud800"}})", "not_json"},
      {R"({"meta":{"uri":"http://h/\x"}})", "not_json"},
      {"{\"meta\":{\"uri\":\"http://h/\xff\"}}", "not_utf8"},
      {"{\"meta\":{\"uri\":\"http://h/a\"},\"x\":\"\xc3\"}", "not_utf8"},
      {"{}", "no_uri"},
      {R"({"meta":null})", "no_uri"},
      {R"({"meta":"http://h/a"})", "no_uri"},
      {R"({"meta":{}})", "no_uri"},
      {R"({"meta":{"uri":17}})", "no_uri"},
      {R"({"meta":{"uri":null}})", "no_uri"},
      {R"({"meta":{"uri":""}})", "no_uri"},
      {R"({"uri":"http://h/a"})", "no_uri"},
      {R"({"meta":{"uri":"http://h/a","uri":"http://h/b"}})", "duplicate_key"},
      {R"({"meta":{"uri":"http://h/a"},"meta":{"uri":"http://h/b"}})", "duplicate_key"},
      {R"({"meta":{"uri":"http://h/a","\u0075ri":"http://h/b"}})", "duplicate_key"},
      {R"({"meta":{"uri":"http://h/a\r\nHost: evil"}})", "bad_character"},
      {R"({"meta":{"uri":"http://h/\u0000"}})", "bad_character"},
      {R"({"meta":{"uri":"http://h/a b"}})", "bad_character"},
      {R"({"meta":{"uri":"mailto:a@b"}})", "bad_scheme"},
      {R"({"meta":{"uri":"http://a@b/"}})", "user_info"},
      {R"({"meta":{"uri":"http://h:99999/"}})", "bad_port"},
      {R"({"meta":{"uri":"http://h/)" + std::string(9000, 'a') + R"("}})", "too_long"},
      {std::string(PurgeDecoder::kMaxRecord + 1, ' '), "too_large"},
      {std::string(100000, '['), "not_json"},
  };
  PurgeDecoder decoder;
  for (const EventRow& row : rows) {
    SCOPED_TRACE(row.json.substr(0, 100));
    const DecodeResult result = decoder.decode(row.json);
    const char* outcome = result.kind == DecodeKind::event    ? "event"
                          : result.kind == DecodeKind::canary ? "canary"
                                                              : reject_reason_name(result.reason);
    EXPECT_STREQ(outcome, row.outcome);
  }
}

// Fields that nothing is taken from count all the same.
TEST(Decode, ARecordIsJsonAsAWholeOrNotAtAll) {
  const std::vector<std::pair<std::string, DecodeKind>> rows{
      {R"("x":nonsense)", DecodeKind::rejected},
      {R"("x":tru)", DecodeKind::rejected},
      {R"("x":truely)", DecodeKind::rejected},
      {R"("x":nulll)", DecodeKind::rejected},
      {R"("x":True)", DecodeKind::rejected},
      {R"("x":01)", DecodeKind::rejected},
      {R"("x":-)", DecodeKind::rejected},
      {R"("x":+1)", DecodeKind::rejected},
      {R"("x":.5)", DecodeKind::rejected},
      {R"("x":1.)", DecodeKind::rejected},
      {R"("x":1e)", DecodeKind::rejected},
      {R"("x":1e+)", DecodeKind::rejected},
      {R"("x":0x1)", DecodeKind::rejected},
      {R"("x":NaN)", DecodeKind::rejected},
      {R"("x":1 2)", DecodeKind::rejected},
      {R"("x":"a"b)", DecodeKind::rejected},
      {R"("x":"a" b)", DecodeKind::rejected},
      {R"("x":[1 2])", DecodeKind::rejected},
      {R"("x":[1,])", DecodeKind::rejected},
      {R"("x":[1,nonsense])", DecodeKind::rejected},
      {R"("x":{"y":nonsense})", DecodeKind::rejected},
      {R"("x":{"y":{"z":[tru]}})", DecodeKind::rejected},
      {R"("x":{"y" 1})", DecodeKind::rejected},
      {R"("x":{"y":1,})", DecodeKind::rejected},
      {R"("x":{1:1})", DecodeKind::rejected},
      {R"("x":"\x")", DecodeKind::rejected},
      {R"("x":"\u12")", DecodeKind::rejected},
      {R"("x":"\u12g4")", DecodeKind::rejected},
      {R"("x":["\\\q"])", DecodeKind::rejected},
      {R"("\x":1)", DecodeKind::rejected},
      {R"("x":{"\x":1})", DecodeKind::rejected},
      {R"("tags":nonsense)", DecodeKind::rejected},
      {R"("tags":["a",nonsense])", DecodeKind::rejected},
      {R"("tags":[nonsense])", DecodeKind::rejected},
      {R"("x":'a')", DecodeKind::rejected},
      {R"("x":,"y":1)", DecodeKind::rejected},
      {R"("x":})", DecodeKind::rejected},
      {R"("x":123456789012345678901234567890)", DecodeKind::event},
      {R"("x":1e400)", DecodeKind::event},
      {R"("x":-0)", DecodeKind::event},
      {R"("x":-0.5E+10)", DecodeKind::event},
      {R"("x":0e-1)", DecodeKind::event},
      {"\"x\" : \t null ,\n\"y\":true", DecodeKind::event},
      {R"("x":"\ud800 \\ \" \/ \b\f\n\r\t \u00e3")", DecodeKind::event},
      {R"("x":{"\u0061":[]})", DecodeKind::event},
      {R"("x":[true,false,null,{}])", DecodeKind::event},
      {R"("x":"nonsense")", DecodeKind::event},
  };
  PurgeDecoder decoder;
  for (const auto& [field, kind] : rows) {
    SCOPED_TRACE(field);
    const std::string meta = R"("meta":{"uri":"http://h/a"})";
    for (const std::string& json : {"{" + meta + "," + field + "}", "{" + field + "," + meta + "}",
                                    R"({"meta":{"uri":"http://h/a",)" + field + "}}",
                                    R"({"a\u0062":1,)" + field + "," + meta + "}"}) {
      const DecodeResult result = decoder.decode(json);
      EXPECT_EQ(result.kind, kind) << json;
      if (kind == DecodeKind::event) {
        EXPECT_EQ(result.event.target, "/a");
      } else {
        EXPECT_EQ(result.reason, RejectReason::not_json) << json;
      }
    }
  }
}

// With a backslash anywhere texts are unescaped and copied, without they are not: the same comes
// out.
TEST(Decode, TextsAreTheSameWithAndWithoutEscapesInTheRecord) {
  const std::string fields = R"("meta":{"uri":"http://h/\u0061b?c" ,"id" : "i d"
      ,"dt":"2026-08-21T13:56:20Z"},"tags" :[ "mediawiki" ])";
  PurgeDecoder decoder;
  std::string plain = fields;
  plain.replace(plain.find(R"(\u0061)"), 6, "a");
  for (const std::string& json : {"{" + plain + "}", "{" + fields + "}"}) {
    const DecodeResult result = decoder.decode(json);
    ASSERT_EQ(result.kind, DecodeKind::event) << json;
    EXPECT_EQ(result.event.target, "/ab?c");
    EXPECT_EQ(result.event.id, "i d");
    EXPECT_TRUE(result.event.dt.has_value());
    EXPECT_EQ(result.event.tag, Tag::mediawiki);
  }
}

TEST(Decode, GoesOnAfterADeepRecord) {
  PurgeDecoder decoder;
  EXPECT_EQ(decoder.decode(nested(100000)).kind, DecodeKind::rejected);
  EXPECT_EQ(decoder.decode(nested(1)).kind, DecodeKind::event);
}

TEST(Decode, TheGoodPathAllocatesNothing) {
  PurgeDecoder decoder;
  const std::string json =
      R"({"meta":{"uri":"https://h/wiki/A","id":"x","dt":"2026-08-21T13:56:20Z"},"tags":["a"]})";
  ASSERT_EQ(decoder.decode(json).kind, DecodeKind::event);
  const std::size_t before = test::allocations();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(decoder.decode(json).kind, DecodeKind::event);
  EXPECT_EQ(test::allocations() - before, 0u);
}

TEST(Rejects, KeepsTheNewest) {
  RejectRing ring;
  for (int i = 0; i < 100; ++i) {
    ring.add(RejectReason::no_uri, Record{PartitionId{1}, Offset{i}, {}, std::string(600, 'x')},
             {});
  }
  EXPECT_EQ(ring.size(), RejectRing::kKept);
  EXPECT_EQ(ring.newest(0).offset, Offset{99});
  EXPECT_EQ(ring.newest(63).offset, Offset{36});
  EXPECT_EQ(ring.newest(0).text.size(), RejectRing::kText);
  EXPECT_EQ(ring.newest(0).size, 600u);
}

}  // namespace
}  // namespace purgeline
