// The resolver's rules with lookups that a test holds and lets go, and one with the real ones.
#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>

#include "io/sockets.h"
#include "io/thread_resolver.h"
#include "purgeline/eventfd.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::seconds;

struct Handler : ResolveHandler {
  void on_resolved(Result<std::vector<Address>> addresses) override {
    ++called;
    result = std::move(addresses);
    if (then) then();
  }
  int called{0};
  Result<std::vector<Address>> result;
  std::function<void()> then;
};

// Stands for the name service: each lookup waits until its name is let go, and says who is asked.
class Names {
 public:
  Result<std::vector<Address>> look_up(const std::string& host) {
    std::unique_lock lock(mutex_);
    ++asked_[host];
    changed_.notify_all();
    changed_.wait(lock, [&] { return all_ || free_.contains(host); });
    if (host.starts_with("bad")) return failure(Errc::not_found, host + ": no address");
    Address address;
    address.family = Address::Family::inet4;
    address.ip = {127, 0, 0, static_cast<std::uint8_t>(asked_[host])};
    return std::vector<Address>{address};
  }
  void let_go(const std::string& host) {
    const std::lock_guard lock(mutex_);
    free_.insert(host);
    changed_.notify_all();
  }
  void let_all_go() {
    const std::lock_guard lock(mutex_);
    all_ = true;
    changed_.notify_all();
  }
  // Waits until the name has been asked so often.
  void wait_asked(const std::string& host, int times) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_[host] >= times; });
  }
  int asked(const std::string& host) {
    const std::lock_guard lock(mutex_);
    return asked_[host];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> asked_;
  std::set<std::string> free_;
  bool all_{false};
};

// Told when the last worker has gone.
struct Gone {
  ~Gone() { gone->set_value(); }
  std::shared_ptr<std::promise<void>> gone;
};

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    auto sign = std::shared_ptr<Gone>(new Gone{gone_});
    resolver_ = std::make_unique<ThreadResolver>(
        wake_.get(), clock_, [this, sign = std::move(sign)](const std::string& host) {
          static_cast<void>(sign);
          return names_.look_up(host);
        });
  }
  ~ResolverTest() override {
    resolver_.reset();
    names_.let_all_go();
    gone_->get_future().wait();
  }
  void wait_for_wake() const {
    pollfd waiting{wake_.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
    drain_eventfd(wake_.get());
  }
  void until(const std::function<bool()>& done) {
    while (!done()) {
      wait_for_wake();
      resolver_->poll();
    }
  }
  [[nodiscard]] bool woken() const {
    pollfd waiting{wake_.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }

  test::FakeClock clock_;
  Fd wake_{make_eventfd()};
  Names names_;
  std::shared_ptr<std::promise<void>> gone_{std::make_shared<std::promise<void>>()};
  std::unique_ptr<ThreadResolver> resolver_;
};

TEST_F(ResolverTest, WhoAsksForANameInProgressJoinsIt) {
  Handler first;
  Handler second;
  Handler third;
  resolver_->resolve("a", 80, first);
  resolver_->resolve("a", 81, second);
  names_.wait_asked("a", 1);
  resolver_->resolve("a", 82, third);
  names_.let_go("a");
  until([&] { return first.called + second.called + third.called == 3; });
  EXPECT_EQ(names_.asked("a"), 1);
  EXPECT_EQ(first.result->front().port, 80);
  EXPECT_EQ(second.result->front().port, 81);
  EXPECT_EQ(third.result->front().port, 82);
}

TEST_F(ResolverTest, ManyQuestionsForAHangingNameTakeOneWorker) {
  Handler hanging;
  for (int i = 0; i < 100; ++i) {
    resolver_->resolve("hangs", 80, hanging);
    resolver_->cancel(hanging);
  }
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    Handler other;
    names_.let_go(name);
    resolver_->resolve(name, 80, other);
    until([&] { return other.called == 1; });
  }
  names_.let_go("hangs");
  Handler last;
  resolver_->resolve("hangs", 80, last);
  until([&] { return last.called == 1; });
  EXPECT_EQ(names_.asked("hangs"), 1);
  EXPECT_EQ(hanging.called, 0);
}

TEST_F(ResolverTest, AsManyNamesMayHangAsThereAreWorkersLessOne) {
  std::vector<Handler> hanging(ThreadResolver::kWorkers - 1);
  for (std::size_t i = 0; i < hanging.size(); ++i) {
    resolver_->resolve("hangs" + std::to_string(i), 80, hanging[i]);
  }
  names_.let_go("a");
  names_.let_go("b");
  Handler a;
  Handler b;
  resolver_->resolve("a", 80, a);
  resolver_->resolve("b", 80, b);
  until([&] { return a.called + b.called == 2; });
}

TEST_F(ResolverTest, ALateAnswerServesTheNextQuestionForAWhile) {
  Handler impatient;
  resolver_->resolve("a", 80, impatient);
  resolver_->cancel(impatient);
  names_.let_go("a");
  names_.let_go("b");
  wait_for_wake();
  resolver_->poll();
  EXPECT_EQ(impatient.called, 0);
  clock_.advance(ThreadResolver::kKeepLate - seconds(1));
  Handler again;
  resolver_->resolve("a", 81, again);
  EXPECT_EQ(again.called, 0) << "never before the next poll()";
  EXPECT_TRUE(woken()) << "what is kept ends the sleep as well";
  resolver_->poll();
  ASSERT_EQ(again.called, 1);
  EXPECT_EQ(again.result->front().port, 81);
  EXPECT_EQ(names_.asked("a"), 1);
  clock_.advance(seconds(1));
  resolver_->resolve("a", 82, again);
  until([&] { return again.called == 2; });
  EXPECT_EQ(names_.asked("a"), 2);
  EXPECT_EQ(again.result->front().port, 82);
}

TEST_F(ResolverTest, AnAnswerThatWasTakenAndAFailureAreNotKept) {
  names_.let_go("a");
  names_.let_go("bad");
  Handler handler;
  for (int times = 1; times <= 2; ++times) {
    resolver_->resolve("a", 80, handler);
    until([&] { return handler.called == times; });
  }
  EXPECT_EQ(names_.asked("a"), 2);
  Handler impatient;
  resolver_->resolve("bad", 80, impatient);
  resolver_->cancel(impatient);
  wait_for_wake();
  resolver_->poll();
  resolver_->resolve("bad", 80, impatient);
  until([&] { return impatient.called == 1; });
  EXPECT_FALSE(impatient.result.has_value());
  EXPECT_EQ(names_.asked("bad"), 2);
}

TEST_F(ResolverTest, AHandlerMayAskAgainOrDropAnotherWhileItIsTold) {
  names_.let_go("a");
  Handler first;
  Handler second;
  first.then = [&] {
    if (first.called > 1) return;
    resolver_->cancel(second);
    resolver_->resolve("a", 80, first);
  };
  resolver_->resolve("a", 80, first);
  resolver_->resolve("a", 80, second);
  until([&] { return first.called == 2; });
  EXPECT_EQ(second.called, 0);
  EXPECT_EQ(names_.asked("a"), 2) << "not the same answer over again";
}

TEST_F(ResolverTest, TheEndWaitsForNoLookup) {
  Handler handler;
  resolver_->resolve("hangs", 80, handler);
  names_.wait_asked("hangs", 1);
  resolver_.reset();  // hangs here, and with it the process, if it waits
  wake_ = Fd();       // and the worker does not write to what may be another's by now
  names_.let_all_go();
  EXPECT_EQ(handler.called, 0);
}

TEST(Resolver, NamesAndFailures) {
  test::FakeClock clock;
  const Fd wake = make_eventfd();
  ThreadResolver resolver(wake.get(), clock);
  Handler good;
  Handler bad;
  Handler cancelled;
  resolver.resolve("localhost", 81, good);
  resolver.resolve("no such name.invalid", 81, bad);
  resolver.resolve("localhost", 81, cancelled);
  resolver.cancel(cancelled);
  while (good.called + bad.called < 2) {
    pollfd waiting{wake.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
    drain_eventfd(wake.get());
    resolver.poll();
  }
  ASSERT_TRUE(good.result.has_value());
  EXPECT_EQ(good.result->front().port, 81);
  EXPECT_FALSE(bad.result.has_value());
  EXPECT_EQ(cancelled.called, 0);
}

}  // namespace
}  // namespace purgeline
