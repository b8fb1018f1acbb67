#include "sim/trace.h"

#include <cstdio>
#include <string>

namespace purgeline::sim {

double Trace::passed() const {
  return static_cast<double>((clock_.now() - started_).count()) * 1e-9;
}

void Trace::mix(std::string_view text) {
  for (const char c : text) mix(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
}

void Trace::note(std::string_view what, std::string_view who, std::int64_t number) {
  mix(static_cast<std::uint64_t>((clock_.now() - started_).count()));
  mix(what);
  mix(who);
  mix(static_cast<std::uint64_t>(number));
  if (!print_) return;
  std::printf("%12.6f  %-14.*s %.*s %lld\n", passed(), static_cast<int>(what.size()), what.data(),
              static_cast<int>(who.size()), who.data(), static_cast<long long>(number));
}

void Trace::say(std::string_view text) const {
  if (!print_) return;
  std::printf("%12.6f  %.*s\n", passed(), static_cast<int>(text.size()), text.data());
}

void TracedLog::write(LogLevel level, std::string_view event, LogFields fields) {
  constexpr const char* kLevels[] = {"debug", "info", "warning", "error"};
  trace_.note("log", event, static_cast<std::int64_t>(level));
  listener_(event, fields);
  if (!trace_.printing()) return;
  std::string line =
      "              (" + std::string(kLevels[static_cast<std::size_t>(level)]) + ")";
  for (const LogField& field : fields) {
    line += " " + std::string(field.first) + "=\"" + field.second + "\"";
  }
  trace_.say(line);
}

}  // namespace purgeline::sim
