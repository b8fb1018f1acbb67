// Which answers show that a cache made them, and what becomes of a target whose answers do not.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct ProofRow {
  const char* name;
  std::string text;
  bool proof;
};

std::string answer(const std::string& status, const std::string& headers) {
  return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: 0\r\n\r\n";
}

// What was seen of Varnish 7.1 and Traffic Server 9.2, and what is near to it.
const std::vector<ProofRow> kRows{
    {"an origin", answer("200 OK", "Server: nginx\r\n"), false},
    {"an origin that has no such page", answer("404 Not Found", "Server: Apache/2.4\r\n"), false},
    {"nobody's name", answer("200 OK", ""), false},
    {"the shipped VCL", answer("204 Purged", "Server: Varnish\r\nX-Purgeline-Purged: 1\r\n"), true},
    {"the mark on a 200", answer("200 OK", "Server: a\r\nx-purgeline-PURGED: 1\r\n"), true},
    {"a 204 of somebody's VCL", "HTTP/1.1 204 Purged\r\n\r\n", true},
    {"not our host", "HTTP/1.1 204 Domain not cached here\r\nServer: x\r\n\r\n", true},
    {"the built-in VCL", answer("200 Purged", "Server: Varnish\r\nX-Varnish: 32770\r\n"), true},
    {"passed on by Varnish",
     answer("200 OK", "Server: gunicorn\r\nX-Varnish: 3\r\nVia: 1.1 varnish (Varnish/7.1)\r\n"),
     false},
    {"Traffic Server, nothing there", answer("404 Not Found", "Server: ATS/9.2.9\r\n"), true},
    {"Traffic Server, purged", answer("200 Ok", "server:ATS/9.2.9\r\n"), true},
    {"blanks before the name", answer("200 OK", "Server: \t Varnish\r\n"), true},
    {"a longer name", answer("200 OK", "Server: Varnishing\r\n"), false},
    {"a shorter name", answer("200 OK", "Server: Varnis\r\n"), false},
    {"a name in front", answer("200 OK", "Server: my ATS/9\r\n"), false},
    {"a long name", answer("200 OK", "Server: " + std::string(5000, 'x') + "\r\n"), false},
    {"in another header", answer("200 OK", "Servers: Varnish\r\nX-Server: ATS/9\r\n"), false},
    {"in an interim answer only",
     "HTTP/1.1 103 Early Hints\r\nServer: Varnish\r\n\r\n" + answer("200 OK", ""), false},
    {"in a trailer",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Purgeline-Purged: 1\r\n\r\n",
     false},
    {"to the end of the connection", "HTTP/1.1 200 OK\r\nServer: ATS/9\r\n\r\n", true},
};

TEST(Proof, IsReadFromEveryRowSplitAnywhere) {
  for (const ProofRow& row : kRows) {
    for (std::size_t cut = 0; cut < std::min<std::size_t>(row.text.size(), 200); ++cut) {
      ResponseParser parser;
      std::span<const std::byte> first = std::as_bytes(std::span(row.text).first(cut));
      std::span<const std::byte> rest = std::as_bytes(std::span(row.text).subspan(cut));
      auto step = ResponseParser::Step::more;
      if (!first.empty()) step = parser.next(first);
      if (step == ResponseParser::Step::more) step = parser.next(rest);
      ASSERT_EQ(step, ResponseParser::Step::answer) << row.name << ", cut at " << cut;
      EXPECT_EQ(parser.answer().proof, row.proof) << row.name << ", cut at " << cut;
    }
  }
}

TEST(Proof, OfOneAnswerIsNoneOfTheNext) {
  const std::string text = answer("200 OK", "Server: Varnish\r\n") + answer("200 OK", "");
  ResponseParser parser;
  std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  ASSERT_EQ(parser.next(bytes), ResponseParser::Step::answer);
  EXPECT_TRUE(parser.answer().proof);
  ASSERT_EQ(parser.next(bytes), ResponseParser::Step::answer);
  EXPECT_FALSE(parser.answer().proof);
}

void ask(World& world, const std::string& text) {
  if (world.transport.links.empty() || world.transport.links.back().ended) {
    world.queue.add("/page");
    world.answer(world.connect(), text);
    return;
  }
  world.queue.add("/page");
  world.turn();
  world.answer(world.transport.links.size() - 1, text);
}

TEST(Unproven, AfterTheFirstGoodAnswerThatShowsNothing) {
  World world;
  EXPECT_EQ(world.metrics().unproven, 0);
  ask(world, kOk);
  EXPECT_EQ(world.metrics().unproven, 1);
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_EQ(world.last().result, AttemptResult::purged) << "it goes on being asked";
  ask(world, kAbsent);
  EXPECT_THAT(world.proofs, ElementsAre("unproven")) << "told once";
  ask(world, kPurged);
  EXPECT_EQ(world.metrics().unproven, 0);
  EXPECT_THAT(world.proofs, ElementsAre("unproven", "proven"));
}

TEST(Unproven, AgainAfterEightInARow) {
  World world;
  ask(world, kPurged);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 7; ++i) ask(world, kOk);
    ask(world, kPurged);
  }
  EXPECT_THAT(world.proofs, IsEmpty());
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(world.metrics().unproven, 0);
    ask(world, kOk);
  }
  EXPECT_EQ(world.metrics().unproven, 1);
}

TEST(Unproven, IsNobodyWhoseAnswersAreNotGood) {
  for (const int status : {405, 400, 503}) {
    World world;
    ask(world, with_status(status));
    EXPECT_THAT(world.proofs, IsEmpty()) << status;
  }
}

TEST(Unproven, IsNobodyWhereNoProofIsAskedFor) {
  TargetSpec spec = World::one_target();
  spec.proof = false;
  World world(spec);
  ask(world, kOk);
  EXPECT_THAT(world.proofs, IsEmpty());
  spec.proof = true;
  world.dispatcher.alter(spec);
  ask(world, kOk);
  EXPECT_EQ(world.metrics().unproven, 1);
  spec.proof = false;
  world.dispatcher.alter(spec);
  EXPECT_EQ(world.metrics().unproven, 0);
  EXPECT_THAT(world.proofs, ElementsAre("unproven", "proven"));
}

}  // namespace
}  // namespace purgeline::test
