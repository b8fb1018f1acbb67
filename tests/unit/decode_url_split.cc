// Prints what the splitter makes of each line of its input: host, tab, target; or "!" and the
// reason. decode_url_differential.py compares it with another splitter.
#include <iostream>
#include <string>

#include "decode/url.h"

int main() {
  purgeline::UrlSplitter splitter;
  std::string line;
  while (std::getline(std::cin, line)) {
    purgeline::Url url;
    if (const auto reason = splitter.split(line, url)) {
      std::cout << '!' << purgeline::reject_reason_name(*reason) << '\n';
    } else {
      std::cout << url.host << '\t' << url.target << '\n';
    }
  }
  return 0;
}
