// ResponseParser on any bytes: never reads beyond them, and reads the same however they are split.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "dispatch/http1.h"

namespace {

using purgeline::Answer;
using purgeline::ResponseParser;

struct Read {
  std::vector<Answer> answers;
  bool malformed{false};
};

Read read(std::span<const std::uint8_t> text, std::size_t piece) {
  Read read;
  ResponseParser parser;
  while (!text.empty()) {
    const std::size_t size = piece == 0 || piece > text.size() ? text.size() : piece;
    const std::vector<std::uint8_t> part(text.begin(),
                                         text.begin() + static_cast<std::ptrdiff_t>(size));
    text = text.subspan(size);
    std::span<const std::byte> bytes = std::as_bytes(std::span(part));
    while (!bytes.empty()) {
      const std::size_t before = bytes.size();
      const auto step = parser.next(bytes);
      if (step == ResponseParser::Step::malformed) {
        read.malformed = true;
        return read;
      }
      if (bytes.size() >= before) std::abort();  // it must get on
      if (step == ResponseParser::Step::more) break;
      if (parser.answer().status < 200 || parser.answer().status == 101) std::abort();
      read.answers.push_back(parser.answer());
    }
  }
  return read;
}

void expect_same(const Read& a, const Read& b) {
  if (a.malformed != b.malformed || a.answers.size() != b.answers.size()) std::abort();
  for (std::size_t i = 0; i < a.answers.size(); ++i) {
    const bool same = a.answers[i].status == b.answers[i].status &&
                      a.answers[i].filtered == b.answers[i].filtered &&
                      a.answers[i].keep_alive == b.answers[i].keep_alive &&
                      a.answers[i].proof == b.answers[i].proof;
    if (!same) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> text(data, size);
  const Read whole = read(text, 0);
  expect_same(whole, read(text, 1));
  expect_same(whole, read(text, 7));
  return 0;
}
