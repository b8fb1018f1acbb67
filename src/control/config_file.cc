#include "control/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "control/config_check.h"

namespace purgeline::config {
namespace {

constexpr const char* kProperties = "log.kafka.properties";

std::string errno_text() {
  return std::generic_category().message(errno);
}

std::string read_from(int fd, std::size_t limit, std::string& text) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return "is not a regular file";
  text.resize(limit + 1);
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t count = ::read(fd, text.data() + length, text.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return "cannot be read: " + errno_text();
    if (count == 0) break;
    length += static_cast<std::size_t>(count);
  }
  text.resize(length);
  if (length <= limit) return "";
  const bool mib = limit >= 1U << 20;
  return "is larger than " + std::to_string(limit >> (mib ? 20 : 10)) + (mib ? " MiB" : " KiB");
}

// What is wrong with the file's text as a property's value; takes off the line end.
std::string trim_value(std::string& text) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
  if (text.empty()) return "is empty";
  // librdkafka takes a C string and would use what stands before it.
  if (text.find('\0') != std::string::npos) return "contains a NUL byte";
  return "";
}

}  // namespace

std::string read_file(const std::string& path, std::size_t limit, std::string& text) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return "cannot be opened: " + errno_text();
  std::string wrong = read_from(fd, limit, text);
  ::close(fd);
  return wrong;
}

void read_property_files(Config& config, const Node& root, Problems& problems) {
  const Node* node = &root;
  for (const char* name : {"log", "kafka", "properties"}) {
    node = node->find(name);
    if (node == nullptr) return;
  }
  for (const Member& member : node->members) {
    const Node* file = member.value.find("file");
    // Anything but an absolute path was refused before.
    if (file == nullptr || file->text.empty() || file->text[0] != '/') continue;
    std::string& text = config.log.kafka.properties[member.key].text;
    std::string wrong = read_file(file->text, kMaxValueBytes, text);
    if (wrong.empty()) wrong = trim_value(text);
    if (wrong.empty()) continue;
    // The path is told in the message, since what stands in a secret's place is not shown.
    problems.add(file->mark, join_path(join_path(kProperties, member.key), "file"),
                 {file->text + " " + wrong, "", "a file with the value, up to 64 KiB", ""});
  }
}

}  // namespace purgeline::config
