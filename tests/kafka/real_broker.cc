#include "kafka/real_broker.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "kafka/kafka_admin.h"

namespace purgeline::contract {
namespace {

constexpr int kTries = 3;  // a free port may be taken by another test before the broker has it

std::filesystem::path jars() {
  const char* cache = std::getenv("PURGELINE_CACHE");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root = cache != nullptr
                                         ? std::filesystem::path(cache)
                                         : std::filesystem::path(home) / ".cache" / "purgeline";
  const std::filesystem::path folder = root / "kafka-4.3.1";
  for (const auto& place : {folder / "libs", folder}) {
    if (!std::filesystem::is_directory(place)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      if (entry.path().extension() == ".jar") return place;
    }
  }
  throw std::runtime_error("no Kafka in " + folder.string() + ": run ./dev test, which fetches it");
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  const bool bound =
      fd >= 0 && ::bind(fd, plain, length) == 0 && ::getsockname(fd, plain, &length) == 0;
  if (fd >= 0) ::close(fd);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace

namespace {

// One line for the summary of a whole run: server, version, test. The folder of jars names the
// version.
void note_usage() {
  const char* file = std::getenv("PURGELINE_SERVER_USAGE");
  if (file == nullptr) return;
  const std::string folder = jars().filename().string();
  std::ofstream(file, std::ios::app)
      << "kafka\t" << folder.substr(folder.rfind('-') + 1) << "\tsource_contract_kafka_test\n";
}

}  // namespace

RealBroker::RealBroker() : classes_(jars().string() + "/*") {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "purgeline-kafka-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  std::string log;
  for (int tries = 0; tries < kTries; ++tries) {
    configure();
    try {
      start();
      note_usage();
      return;
    } catch (const std::runtime_error& error) {
      log = error.what();
    }
  }
  std::filesystem::remove_all(folder_);
  throw std::runtime_error(log);
}

RealBroker::~RealBroker() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void RealBroker::configure() {
  port_ = free_port();
  controller_port_ = free_port();
  std::filesystem::remove_all(folder_ / "data");
  std::ofstream out(folder_ / "server.properties");
  const std::string controller = "127.0.0.1:" + std::to_string(controller_port_);
  out << "process.roles=broker,controller\nnode.id=1\n"
      << "controller.quorum.voters=1@" << controller << "\n"
      << "listeners=PLAINTEXT://" << address() << ",CONTROLLER://" << controller << "\n"
      << "advertised.listeners=PLAINTEXT://" << address() << "\n"
      << "controller.listener.names=CONTROLLER\n"
      << "log.dirs=" << (folder_ / "data").string() << "\n"
      << "auto.create.topics.enable=false\n"
      << "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
      << "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
      << "group.initial.rebalance.delay.ms=0\n"
      // After a kill the next one is let in only when the session of the last has expired.
      << "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n"
      // The records of the tests carry times of their own, years ago.
      << "log.retention.ms=-1\nlog.message.timestamp.before.max.ms=9223372036854775807\n"
      << "num.network.threads=1\nnum.io.threads=2\nnum.partitions=1\n"
      << "log.cleaner.dedupe.buffer.size=2097152\n";
  out.close();
  const pid_t format =
      spawn("kafka.tools.StorageTool",
            "format -t " + cluster_ + " -c " + (folder_ / "server.properties").string());
  int status = 0;
  if (::waitpid(format, &status, 0) != format || status != 0) {
    throw std::runtime_error("Kafka cannot format its folder:\n" + read_file(folder_ / "log"));
  }
}

pid_t RealBroker::spawn(const std::string& main, const std::string& arguments) {
  std::vector<std::string> words{
      "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes_, main};
  std::istringstream rest(arguments);
  for (std::string word; rest >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = (folder_ / "log").string();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child > 0) return child;
  // In the child: a group of its own, and no life without the test.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (out < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) ::_exit(127);
  ::execvp("java", argv.data());
  ::_exit(127);
}

bool RealBroker::answers() const {
  return KafkaAdmin(address()).reachable();
}

void RealBroker::start() {
  process_ = spawn("kafka.Kafka", (folder_ / "server.properties").string());
  while (!answers()) {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      process_ = 0;
      throw std::runtime_error("Kafka ended at once:\n" + read_file(folder_ / "log"));
    }
  }
}

// Returns when it stands still: until then a thread of it may still answer.
void RealBroker::freeze() {
  ::kill(-process_, SIGSTOP);
  int status = 0;
  ::waitpid(process_, &status, WUNTRACED);
}

void RealBroker::thaw() {
  ::kill(-process_, SIGCONT);
}

void RealBroker::kill() {
  if (process_ <= 0) return;
  ::kill(-process_, SIGKILL);
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = 0;
}

}  // namespace purgeline::contract
