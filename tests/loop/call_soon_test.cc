// SPDX-License-Identifier: MIT
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;

class CallSoon : public LoopTest {};

// A target without a descriptor, which is only called.
class Called final : public PollTarget {
 public:
  Called(Loop& loop, Callback<void()> callback) : loop_(&loop), callback_(std::move(callback)) {}
  ~Called() {
    if (armed()) loop_->disarm(*this);
  }
  void on_ready(Ready) override {}
  void on_call() override {
    Callback<void()> callback = std::move(callback_);  // it may destroy this object
    callback();
  }
  void on_expire() override { ++expired; }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"called", -1, {}, {}}; }
  void set(Callback<void()> callback) { callback_ = std::move(callback); }

  int expired = 0;

 private:
  Loop* loop_;
  Callback<void()> callback_;
};

TEST_P(CallSoon, ComesOnceInThisTurnAndIsNoExpiry) {
  Loop loop(options());
  int calls = 0;
  Called target(loop, [&] { ++calls; });
  loop.call_soon(target);
  loop.call_soon(target);
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(target.armed());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(target.expired, 0);
  EXPECT_FALSE(target.armed());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(CallSoon, RunWaitsForItAndDoesNotSleep) {
  Loop loop(options());
  int calls = 0;
  Called second(loop, [&] { ++calls; });
  Called first(loop, [&] {
    ++calls;
    loop.call_soon(second);
  });
  Timer far = loop.after(hours(1), [] {});
  far.unref();
  loop.call_soon(first);
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 2);
}

TEST_P(CallSoon, OrderIsThatOfTheCalls) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<std::unique_ptr<Called>> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(std::make_unique<Called>(loop, [&order, i] { order.push_back(i); }));
  }
  for (const std::size_t i : {2U, 0U, 3U, 1U}) loop.call_soon(*all[i]);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{2, 0, 3, 1}));
}

TEST_P(CallSoon, ACallFromACallWaitsForTheNextTurn) {
  Loop loop(options());
  int calls = 0;
  std::unique_ptr<Called> target;
  const auto again = [&](auto& self) -> void {
    ++calls;
    target->set([&] { self(self); });
    loop.call_soon(*target);
  };
  target = std::make_unique<Called>(loop, [&] { again(again); });
  loop.call_soon(*target);
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_EQ(calls, turn) << "G10";
  }
}

TEST_P(CallSoon, ACallFromAnIoCallbackComesInThatTurn) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  int calls = 0;
  Called target(loop, [&] { ++calls; });
  IoWatcher watcher =
      get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { loop.call_soon(target); }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(CallSoon, ItReplacesTheTimerAndTheTimerReplacesIt) {
  Loop loop(options());
  int calls = 0;
  Called target(loop, [&] { ++calls; });
  loop.arm(target, loop.start_time());
  loop.call_soon(target);
  EXPECT_EQ(target.deadline(), TimePoint::min());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(target.expired, 0);
  target.set([&] { ++calls; });
  loop.call_soon(target);
  loop.arm(target, TimePoint{});
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(target.expired, 1);
}

TEST_P(CallSoon, ACallThatIsTakenBackOrWhoseTargetIsDestroyedNeverComes) {
  Loop loop(options());
  int calls = 0;
  const auto count = [&] { ++calls; };
  Called taken_back(loop, count);
  auto destroyed = std::make_unique<Called>(loop, count);
  auto late = std::make_unique<Called>(loop, count);
  Called first(loop, [&] { late.reset(); });
  std::unique_ptr<Called> own;
  own = std::make_unique<Called>(loop, [&] { own.reset(); });
  for (Called* each : {&taken_back, destroyed.get(), &first, late.get(), own.get()}) {
    loop.call_soon(*each);
  }
  loop.disarm(taken_back);
  destroyed.reset();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 0) << "G1";
  EXPECT_EQ(own, nullptr);
}

TEST_P(CallSoon, TheRestFollowsAnException) {
  Loop loop(options());
  std::vector<char> order;
  Called a(loop, [&] { order.push_back('a'); });
  Called thrower(loop, [] { throw std::runtime_error("G6"); });
  Called b(loop, [&] { order.push_back('b'); });
  Called c(loop, [&] { order.push_back('c'); });
  for (Called* each : {&a, &thrower, &b}) loop.call_soon(*each);
  EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
  EXPECT_EQ(order, std::vector{'a'});
  loop.call_soon(c);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(order, (std::vector{'a', 'b', 'c'}));
}

TEST_P(CallSoon, TheTargetMayOutliveItsLoop) {
  auto loop = std::make_unique<Loop>(options());
  Called target(*loop, [] { ADD_FAILURE(); });
  loop->call_soon(target);
  loop.reset();
  EXPECT_FALSE(target.armed());
}

TEST_P(CallSoon, ASlowCallIsNamed) {
  Loop loop(options());
  Called target(loop, [&] { EXPECT_EQ(loop.current().kind, "called"); });
  loop.call_soon(target);
  EXPECT_TRUE(loop.poll());
}

INSTANTIATE_TEST_SUITE_P(Backends, CallSoon, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
