// Any bytes as a URI: what is accepted splits again into the same parts.
#include <cstdint>
#include <string>
#include <string_view>

#include "decode/url.h"
#include "purgeline/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static purgeline::UrlSplitter splitter;
  static purgeline::UrlSplitter again;
  purgeline::Url url;
  if (splitter.split(std::string_view(reinterpret_cast<const char*>(data), size), url)) return 0;
  const std::string text = "//" + std::string(url.host) + std::string(url.target);
  purgeline::Url same;
  if (text.size() > purgeline::UrlSplitter::kMaxUri) return 0;
  CHECK(!again.split(text, same));
  CHECK(same.target == url.target);
  // Without a scheme both default ports are dropped; with one, only its own.
  CHECK(same.host == url.host || url.host.ends_with(":80") || url.host.ends_with(":443"));
  return 0;
}
