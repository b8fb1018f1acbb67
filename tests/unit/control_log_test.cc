// Log lines: escaping, both formats, journald's prefixes, folding, and that a stuck reader blocks
// nobody.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <regex>

#include "control/log.h"
#include "control/log_escape.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using test::FakeClock;
using ::testing::ElementsAre;

struct EscapeRow {
  std::string value;
  const char* text;
  const char* json;
};

TEST(LogEscape, ValuesCannotWriteLinesOrColours) {
  const EscapeRow rows[] = {
      {"plain", "plain", R"("plain")"},
      {"", R"("")", R"("")"},
      {"two words", R"("two words")", R"("two words")"},
      {"a=b", R"("a=b")", R"("a=b")"},
      {"q\"\\", R"("q\"\\")", R"("q\"\\")"},
      {"a\nb\rc\td", R"("a\nb\rc\td")", R"("a\u000ab\u000dc\u0009d")"},
      {"\x1b[31m\x07", R"("\x1b[31m\x07")", R"("\u001b[31m\u0007")"},
      {std::string("\0", 1), R"("\x00")", R"("\u0000")"},
      {"\x7f", R"("\x7f")", R"("\u007f")"},
      {"\xc2\x9b", R"("\u{009b}")", R"("\u009b")"},  // C1: a one-byte ESC [ elsewhere
      {"\xe2\x80\xae"
       "gpj",
       R"("\u{202e}gpj")", R"("\u202egpj")"},  // right-to-left override
      {"\xef\xbb\xbf", R"("\u{feff}")", R"("\ufeff")"},
      {"\xf3\xa0\x81\x81", R"("\u{e0041}")", R"("\udb40\udc41")"},  // a tag character
      {"Z\xc3\xbcrich", "\"Z\xc3\xbcrich\"", "\"Z\xc3\xbcrich\""},
      {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
      {"\xff", R"("\xff")", R"("\\xff")"},
      {"\xc0\xaf", R"("\xc0\xaf")", R"("\\xc0\\xaf")"},               // overlong
      {"\xed\xa0\x80", R"("\xed\xa0\x80")", R"("\\xed\\xa0\\x80")"},  // a surrogate
      {"\xf4\x90\x80\x80", R"("\xf4\x90\x80\x80")", R"("\\xf4\\x90\\x80\\x80")"},
      {"\xe2\x82", R"("\xe2\x82")", R"("\\xe2\\x82")"},  // cut off
  };
  for (const EscapeRow& row : rows) {
    std::string text;
    append_text_value(text, row.value);
    EXPECT_EQ(text, row.text);
    std::string json;
    append_json_string(json, row.value);
    EXPECT_EQ(json, row.json);
  }
}

TEST(LogEscape, LongValuesAreCut) {
  std::string text;
  append_text_value(text, std::string(kMaxLogValue + 100, 'u'));
  EXPECT_EQ(text, "\"" + std::string(kMaxLogValue, 'u') + "...(+100 bytes)\"");
}

TEST(LogLine, BothFormats) {
  EXPECT_EQ(format_line(LogFormat::text, LogLevel::warning, "target state",
                        {{"target", "a:1"}, {"why", "no route"}}),
            R"(level=warning event="target state" target=a:1 why="no route")");
  EXPECT_EQ(format_line(LogFormat::json, LogLevel::error, "stalled", {}),
            R"("level":"error","event":"stalled"})");
  EXPECT_EQ(format_line(LogFormat::json, LogLevel::info, "x", {{"target", "a\"1"}}),
            R"("level":"info","event":"x","target":"a\"1"})");
}

// What a LogOutput wrote, after it has gone.
class Capture {
 public:
  Capture() : file_(std::tmpfile()) {}
  ~Capture() { std::fclose(file_); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  [[nodiscard]] std::FILE* file() const { return file_; }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::rewind(file_);
    std::vector<std::string> out(1);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
      if (c == '\n') {
        out.emplace_back();
      } else {
        out.back() += static_cast<char>(c);
      }
    }
    out.pop_back();
    return out;
  }

 private:
  std::FILE* file_;
};

std::vector<std::string> lines_of(LogOptions options) {
  const Capture capture;
  options.file = capture.file();
  {
    LogOutput log(options);
    log.debug("hidden");
    log.info("started", {{"target", "{} %v %s"}});  // no format string, of nobody
    log.error("lost");
  }
  return capture.lines();
}

TEST(LogOutput, WritesTextJsonAndForTheJournal) {
  const std::string time = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";
  const auto text = lines_of({});
  ASSERT_EQ(text.size(), 2U);
  EXPECT_TRUE(std::regex_match(
      text[0], std::regex(time + R"re( level=info event=started target="\{\} %v %s")re")))
      << text[0];
  const auto json = lines_of({.format = LogFormat::json});
  ASSERT_EQ(json.size(), 2U);
  EXPECT_TRUE(std::regex_match(json[1], std::regex(R"re(\{"time":")re" + time +
                                                   R"re(","level":"error","event":"lost"\})re")))
      << json[1];
  EXPECT_THAT(
      lines_of({.journal = true}),
      ElementsAre(R"(<6>level=info event=started target="{} %v %s")", "<3>level=error event=lost"));
  EXPECT_THAT(lines_of({.format = LogFormat::json, .level = LogLevel::error, .journal = true}),
              ElementsAre(R"(<3>{"level":"error","event":"lost"})"));
}

TEST(LogOutput, LevelAndFormatChangeWhileRunning) {
  const Capture capture;
  {
    LogOutput log({.journal = true, .file = capture.file()});
    EXPECT_FALSE(log.enabled(LogLevel::debug));
    log.change(LogFormat::text, LogLevel::debug);
    EXPECT_TRUE(log.enabled(LogLevel::debug));
    log.debug("seen");
    log.change(LogFormat::json, LogLevel::error);
    log.warning("not seen");
    log.error("also seen");
  }
  EXPECT_THAT(capture.lines(), ElementsAre("<7>level=debug event=seen",
                                           R"(<3>{"level":"error","event":"also seen"})"));
}

TEST(LogOutput, AReaderThatReadsNothingBlocksNobodyAndTheLossIsCounted) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::FILE* file = fdopen(ends[1], "w");
  std::setvbuf(file, nullptr, _IONBF, 0);
  {
    LogOutput log({.journal = true, .queue = 16, .file = file});
    const std::string big(1500, 'x');
    // The pipe holds 64 KiB and the queue 16 lines: without dropping this would never come to its
    // end.
    for (int i = 0; i < 1000; ++i) log.info("line", {{"n", std::to_string(i)}, {"big", big}});
    EXPECT_GT(log.dropped(), 800U);
    // Read on, so that the writer can finish.
    std::string all;
    char buffer[4096];
    while (all.find("n=999 ") == std::string::npos) {
      const ssize_t got = read(ends[0], buffer, sizeof buffer);
      ASSERT_GT(got, 0);
      all.append(buffer, static_cast<std::size_t>(got));
    }
  }
  std::fclose(file);
  close(ends[0]);
}

TEST(LogOutput, FlushWaitsUntilAllHasLeft) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  LogOptions options;
  options.file = file;
  LogOutput log(options);
  for (int i = 0; i < 5000; ++i) log.write(LogLevel::info, "line", {});
  log.flush(std::chrono::minutes(1));
  std::rewind(file);
  int lines = 0;
  for (int c = 0; (c = std::fgetc(file)) != EOF;) lines += c == '\n';
  EXPECT_EQ(lines, 5000);
}

TEST(Journal, OnlyTheStreamThatTheVariableNames) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  struct stat status {};
  ASSERT_EQ(fstat(ends[1], &status), 0);
  const std::string right = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  EXPECT_TRUE(goes_to_journal(right.c_str(), ends[1]));
  EXPECT_FALSE(goes_to_journal("1:2", ends[1]));
  EXPECT_FALSE(goes_to_journal("", ends[1]));
  EXPECT_FALSE(goes_to_journal(nullptr, ends[1]));
  EXPECT_FALSE(goes_to_journal(right.c_str(), -1));
  close(ends[0]);
  close(ends[1]);
}

class Lines : public EventLog {
 public:
  void write(LogLevel level, std::string_view event, LogFields fields) override {
    lines.push_back(format_line(LogFormat::text, level, event, fields));
  }
  [[nodiscard]] bool enabled(LogLevel level) const override { return level > LogLevel::debug; }
  std::vector<std::string> lines;
};

struct Folding : ::testing::Test {
  Lines lines;
  FakeClock clock;
  FoldingLog log{lines, clock};

  void say(const char* target, const char* state, LogLevel level = LogLevel::info) {
    log.write(level, "target", {{"t", target}, {"state", state}});
  }
  std::vector<std::string> taken() { return std::exchange(lines.lines, {}); }
};

TEST_F(Folding, TheFirstPassAndTheRestBecomeOneLineWithTheLastState) {
  for (int i = 0; i < 10; ++i) {
    say("a", i % 2 == 0 ? "down" : "up", i == 6 ? LogLevel::error : LogLevel::info);
    clock.advance(seconds(2));
    log.poll();
  }
  EXPECT_THAT(taken(), ElementsAre("level=info event=target t=a state=down",
                                   "level=info event=target t=a state=up",
                                   "level=info event=target t=a state=down",
                                   "level=info event=target t=a state=up"));
  EXPECT_EQ(log.folded(), 6U);
  clock.advance(FoldingLog::kFirstPause);
  log.poll();
  EXPECT_THAT(taken(), ElementsAre("level=error event=target t=a state=up repeated=6 over_s=10"));
}

TEST_F(Folding, OneThatFlapsDoesNotHideAnother) {
  for (int i = 0; i < 50; ++i) say("a", "down");
  taken();
  say("b", "down");
  EXPECT_THAT(taken(), ElementsAre("level=info event=target t=b state=down"));
}

TEST_F(Folding, ANightOfFlappingIsAFewLinesAnHour) {
  for (const Duration period :
       {Duration(seconds(1)), Duration(seconds(90)), Duration(minutes(7))}) {
    std::size_t most_in_an_hour = 0;
    for (int hour = 0; hour < 10; ++hour) {
      taken();
      for (Duration t{}; t < Duration(minutes(60)); t += period) {
        say("a", "down");
        clock.advance(period / 2);
        say("a", "up");
        clock.advance(period - period / 2);
        log.poll();
      }
      if (hour > 0) most_in_an_hour = std::max(most_in_an_hour, lines.lines.size());
      EXPECT_LE(lines.lines.size(), 10U);
    }
    EXPECT_LE(most_in_an_hour, 5U);
    EXPECT_GE(most_in_an_hour, 3U);  // but it is not silent either
    clock.advance(minutes(20));
    log.poll();
    clock.advance(FoldingLog::kForget);
    log.poll();
  }
}

TEST_F(Folding, AfterQuietItIsForgotten) {
  for (int i = 0; i < 20; ++i) say("a", "down");
  clock.advance(FoldingLog::kFirstPause);
  log.poll();
  clock.advance(FoldingLog::kForget);
  log.poll();
  taken();
  say("a", "down");
  EXPECT_THAT(taken(), ElementsAre("level=info event=target t=a state=down"));
}

TEST_F(Folding, AThousandSubjectsOfOneEventAreLimitedTogether) {
  for (int i = 0; i < 1000; ++i) say(std::to_string(i).c_str(), "down");
  EXPECT_EQ(taken().size(), FoldingLog::kEventBurst);
  log.info("something else");
  EXPECT_EQ(taken().size(), 1U);
  clock.advance(FoldingLog::kFirstPause);
  log.poll();
  EXPECT_THAT(taken(),
              ElementsAre("level=info event=target t=999 state=down repeated=870 over_s=0"));
}

TEST_F(Folding, NothingIsLostAtTheEnd) {
  {
    FoldingLog inner(lines, clock);
    for (int i = 0; i < 6; ++i) inner.warning("no fields");
    for (int i = 0; i < 6; ++i) {
      inner.warning(
          "many",
          {{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}, {"f", "6"}, {"g", "7"}});
    }
    taken();
  }
  EXPECT_THAT(taken(),
              ElementsAre("level=warning event=many a=1 b=2 c=3 d=4 e=5 f=6 repeated=2 over_s=0",
                          "level=warning event=\"no fields\" repeated=2 over_s=0"));
}

TEST_F(Folding, LinesThatAreNotPrintedDoNotCount) {
  for (int i = 0; i < 100; ++i) say("a", "down", LogLevel::debug);
  EXPECT_EQ(log.folded(), 0U);
  say("a", "down");
  EXPECT_EQ(taken().size(), 1U);
}

}  // namespace
}  // namespace purgeline
