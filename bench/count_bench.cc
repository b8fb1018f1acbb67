// Work of a fixed amount for one stage, whose instructions bench/count.py counts:
// `count_bench STAGE ROUNDS`. It prints how many events or purges that was.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "decode/resource_change.h"
#include "dispatch_loop.h"
#include "stage_loops.h"

// Only what runs inside of it is counted: callgrind is told its name.
extern "C" [[gnu::noinline]] void purgeline_counted(const std::function<void()>& round,
                                                    long rounds) {
  for (long i = 0; i < rounds; ++i) round();
}

namespace purgeline::bench {
namespace {

// The first rounds grow what grows, and are not counted.
void count(const std::function<void()>& round, long rounds, std::uint64_t things) {
  for (int i = 0; i < 10; ++i) round();
  purgeline_counted(round, rounds);
  std::printf("%llu\n", static_cast<unsigned long long>(rounds) * things);
}

int run(const std::string& stage, long rounds) {
  if (stage == "decode") {
    PurgeDecoder decoder;
    std::string escaped = mediawiki_event();
    escaped.insert(escaped.find("_Totti"), R"(\u00e9)");
    const std::vector<std::string> events{mediawiki_event(), event_with_cause(), escaped};
    const auto round = [&] {
      for (const std::string& json : events) {
        CHECK(decoder.decode(std::string_view(json)).kind == DecodeKind::event);
      }
    };
    count(round, rounds, events.size());
  } else if (stage == "coalesce_distinct" || stage == "coalesce_repeats") {
    CoalesceLoop loop(stage == "coalesce_repeats" ? 8 : 150000);
    count([&] { loop.round(); }, rounds, kBatch);
  } else if (stage == "ack") {
    AckLoop in_order(false);
    AckLoop oldest_last(true);
    const auto round = [&] {
      CHECK(in_order.round().offset == oldest_last.round().offset);
    };
    count(round, rounds, 2 * kBatch);
  } else if (stage == "dispatch") {
    DispatchLoop loop;
    const std::uint64_t before = loop.good();
    loop.turn();
    const std::uint64_t purges = loop.good() - before;
    CHECK(purges > 0);
    count([&] { loop.turn(); }, rounds, purges);
  } else {
    std::fprintf(stderr, "count_bench: there is no stage %s\n", stage.c_str());
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  CHECK(argc == 3);
  return purgeline::bench::run(argv[1], std::atol(argv[2]));
}
