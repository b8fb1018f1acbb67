// Any bytes as a record: never a crash, and what is accepted cannot split a request.
#include <cstdint>
#include <string_view>

#include "decode/resource_change.h"
#include "purgeline/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static purgeline::PurgeDecoder decoder;
  const auto result = decoder.decode(std::string_view(reinterpret_cast<const char*>(data), size));
  if (result.kind != purgeline::DecodeKind::event) return 0;
  CHECK(!result.event.host.empty());
  CHECK(!result.event.target.empty() && result.event.target.front() == '/');
  for (const char c : result.event.target) {
    const auto byte = static_cast<unsigned char>(c);
    CHECK(byte > 0x20 && byte != 0x7F && byte != '#');
  }
  return 0;
}
