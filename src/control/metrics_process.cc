#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "control/metrics_text.h"

namespace purgeline {

namespace {

double count_open_fds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return 0;
  double count = 0;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  // The folder that is being read is open itself.
  return count > 0 ? count - 1 : 0;
}

double read_resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total_pages = 0;
  double resident_pages = 0;
  if (!(file >> total_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double read_cpu_seconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Seconds since 1970 at which the machine started.
double read_boot_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    if (word == "btime") {
      double seconds = 0;
      return (file >> seconds) ? seconds : 0;
    }
  }
  return 0;
}

double read_start_time() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return 0;
  // The command's name, second, may hold spaces and brackets: count from the last bracket. Then the
  // 20th word is the start in ticks since boot (proc(5): starttime is field 22).
  const std::size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return 0;
  std::istringstream words(line.substr(bracket + 1));
  std::string word;
  for (int i = 0; i < 20; ++i) {
    if (!(words >> word)) return 0;
  }
  return read_boot_time() +
         std::strtod(word.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

ProcessStats read_process_stats() {
  // The start does not change while the process lives.
  static const double start = read_start_time();
  return {read_cpu_seconds(), read_resident_bytes(), count_open_fds(), start};
}

}  // namespace purgeline
