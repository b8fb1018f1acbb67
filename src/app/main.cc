// The program: parses its arguments and runs one command.
#include <malloc.h>

#include <csignal>
#include <iostream>

#include "app/purge_command.h"
#include "app/run.h"
#include "cli/config_command.h"
#include "cli/parse.h"
#include "cli/version.h"
#include "sources/kafka_connection.h"
#include "store/database.h"

#ifndef PURGELINE_REVISION
#define PURGELINE_REVISION "unknown"
#endif

namespace {

using purgeline::BuildInfo;
using purgeline::cli::Command;
using purgeline::cli::ExitStatus;

purgeline::cli::VersionInfo version_info() {
  purgeline::cli::VersionInfo info;
  info.version = PURGELINE_VERSION " (" PURGELINE_REVISION ")";
  info.compiler = "gcc " __VERSION__;
  info.librdkafka = purgeline::kafka_library_version();
  info.liburing = PURGELINE_LIBURING_VERSION;
  info.sqlite = purgeline::sqlite_library_version();
  return info;
}

// librdkafka takes a large buffer per fetch. By default each is mapped and its pages faulted in
// anew, which costs more than everything else that is done with an event.
void tune_malloc() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
}

ExitStatus run_command(const purgeline::cli::ParsedCommand& parsed) {
  switch (parsed.command) {
    case Command::run: {
      const BuildInfo build{PURGELINE_VERSION, PURGELINE_REVISION, "gcc " __VERSION__};
      return purgeline::run_daemon(parsed.options.config_file, build);
    }
    case Command::purge:
      return purgeline::purge_now(parsed.options, std::cout, std::cerr);
    case Command::version:
      std::cout << purgeline::cli::version_text(version_info(), parsed.options.format);
      return ExitStatus::done;
    case Command::config_check:
    case Command::config_show:
    case Command::config_docs:
      return purgeline::cli::run_config_command(parsed, purgeline::process_environment(), std::cout,
                                                std::cerr);
  }
  return ExitStatus::usage;
}

}  // namespace

int main(int argc, char** argv) {
  tune_malloc();
  std::signal(SIGPIPE, SIG_IGN);
  const purgeline::cli::ParsedCommand parsed = purgeline::cli::parse_command_line(argc, argv);
  if (parsed.finished) {
    const bool good = parsed.finished->status == ExitStatus::done;
    (good ? std::cout : std::cerr) << parsed.finished->text;
    return static_cast<int>(parsed.finished->status);
  }
  return static_cast<int>(run_command(parsed));
}
