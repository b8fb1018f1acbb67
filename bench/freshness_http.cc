#include "freshness_http.h"

#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

constexpr std::string_view kEmptyLine = "\r\n\r\n";
constexpr int kTries = 3;

// The value of a header field in the head of an answer.
std::optional<std::string_view> field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::size_t value = line.find_first_not_of(' ', name.size() + 1);
      return value == std::string_view::npos ? std::string_view{} : line.substr(value);
    }
  }
  return std::nullopt;
}

std::size_t number(std::string_view text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The whole answer at the front of `text`, when it has come. Of chunks only the end is looked for.
std::optional<HttpAnswer> parse(std::string_view text) {
  const std::size_t end = text.find(kEmptyLine);
  if (end == std::string_view::npos || text.size() < 12) return std::nullopt;
  const std::string_view head = text.substr(0, end);
  const std::string_view body = text.substr(end + kEmptyLine.size());
  const int status = static_cast<int>(number(text.substr(9, 3)));
  if (status == 204) return HttpAnswer{status, {}};
  if (const auto length = field(head, "content-length")) {
    if (body.size() < number(*length)) return std::nullopt;
    return HttpAnswer{status, body.substr(0, number(*length))};
  }
  if (field(head, "transfer-encoding") && body.find("0\r\n\r\n") == std::string_view::npos) {
    return std::nullopt;
  }
  return HttpAnswer{status, {}};
}

}  // namespace

class HttpPool::Connection : public Watcher {
 public:
  explicit Connection(HttpPool& pool) : pool_(pool) {}
  ~Connection() override { close(); }

  void start(Request request) {
    request_ = std::move(request);
    tries_ = 0;
    busy_ = true;
    write();
  }

  void on_ready() override {
    write_from(fd_, out_);
    const bool open = read_into(fd_, buffer_);
    const auto answer = busy_ ? parse(buffer_) : std::nullopt;
    if (!open) close();
    if (answer) {
      finish(*answer);
    } else if (!open && busy_) {
      if (++tries_ == kTries) return finish({0, {}});
      buffer_.clear();
      write();
    }
  }

 private:
  void write() {
    if (fd_ < 0) {
      fd_ = connect_to(pool_.address_);
      pool_.loop_.watch(fd_, *this);
    }
    out_ = request_.text;
    write_from(fd_, out_);
  }

  void finish(const HttpAnswer& answer) {
    request_.done(answer);
    buffer_.clear();
    busy_ = false;
    pool_.freed(*this);
  }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  HttpPool& pool_;
  int fd_{-1};
  bool busy_{false};
  int tries_{0};
  Request request_;
  std::string out_;
  std::string buffer_;
};

HttpPool::HttpPool(Loop& loop, std::string address, std::size_t limit)
    : loop_(loop), address_(std::move(address)), limit_(limit) {}
HttpPool::~HttpPool() = default;

void HttpPool::send(std::string request, OnAnswer done) {
  if (idle_.empty() && connections_.size() == limit_) {
    waiting_.push_back({std::move(request), std::move(done)});
    return;
  }
  if (idle_.empty()) {
    connections_.push_back(std::make_unique<Connection>(*this));
    idle_.push_back(connections_.back().get());
  }
  Connection* const connection = idle_.back();
  idle_.pop_back();
  connection->start({std::move(request), std::move(done)});
}

void HttpPool::freed(Connection& connection) {
  if (waiting_.empty()) {
    idle_.push_back(&connection);
    return;
  }
  Request next = std::move(waiting_.front());
  waiting_.pop_front();
  connection.start(std::move(next));
}

Delays::Delays(Micros longest_lag, Micros longest_fetch, std::uint64_t seed)
    : longest_lag_(static_cast<double>(longest_lag.count())),
      longest_fetch_(static_cast<double>(longest_fetch.count())),
      random_(seed) {}

double Delays::exponential(double mean, double longest) {
  return std::min(std::exponential_distribution<double>(1 / mean)(random_), longest);
}

// Two edits in three are shown at once.
Micros Delays::lag() {
  const bool lags = std::uniform_int_distribution<int>(0, 2)(random_) == 0;
  return Micros(lags ? static_cast<long>(exponential(longest_lag_ / 4, longest_lag_)) : 0);
}

// One fetch in fifty may take as long as any.
Micros Delays::fetch() {
  if (std::uniform_int_distribution<int>(0, 49)(random_) == 0) {
    return Micros(
        static_cast<long>(std::uniform_real_distribution<double>(0, longest_fetch_)(random_)));
  }
  return Micros(static_cast<long>(exponential(longest_fetch_ / 16, longest_fetch_)));
}

std::string page_path(std::uint32_t page) {
  return "/p/" + std::to_string(page);
}

class Origin::Connection : public Watcher {
 public:
  Connection(Origin& origin, int fd) : origin_(origin), fd_(fd) {}
  ~Connection() override {
    if (fd_ >= 0) ::close(fd_);
  }

  // Caches send one request at a time.
  void on_ready() override {
    write_from(fd_, out_);
    const bool open = read_into(fd_, buffer_);
    if (!open) {
      ::close(std::exchange(fd_, -1));
    } else if (buffer_.find(kEmptyLine) != std::string::npos) {
      const auto page = static_cast<std::uint32_t>(number(std::string_view(buffer_).substr(7)));
      CHECK(buffer_.rfind("GET /p/", 0) == 0 && page < origin_.world_.pages());
      buffer_.clear();
      fetch(page);
    }
  }

 private:
  void fetch(std::uint32_t page) {
    const Moment begun = now();
    const std::uint32_t version = origin_.world_.begin_fetch(page, begun);
    origin_.loop_.at(begun + origin_.delays_.fetch(), [this, page, version, begun] {
      const std::string body = "version " + std::to_string(version) + "\n";
      // Counted before it is written: nobody has stored it before.
      origin_.world_.end_fetch(page, version, now() - begun);
      if (fd_ < 0) return;
      out_ =
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: public, "
          "max-age=3600\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body;
      write_from(fd_, out_);
    });
  }

  Origin& origin_;
  int fd_;
  std::string out_;
  std::string buffer_;
};

Origin::Origin(Loop& loop, const std::string& address, World& world, Delays& delays)
    : loop_(loop), world_(world), delays_(delays), listener_(listen_on(address)) {
  loop_.watch(listener_, *this);
}
Origin::~Origin() {
  ::close(listener_);
}

void Origin::on_ready() {
  for (int fd = 0;
       (fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    connections_.push_back(std::make_unique<Connection>(*this, fd));
    loop_.watch(fd, *connections_.back());
  }
}

}  // namespace purgeline::bench
