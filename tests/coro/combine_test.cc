// SPDX-License-Identifier: MIT
// These tests cover with_timeout(), when_all() and when_any().
#include "reactor/base/error.h"
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Combining : public CoroTest {};

Task<int> after(Duration delay, int value, int& alive) {
  const Alive here(alive);
  co_await sleep_for(delay);
  co_return value;
}
Task<int> behind(Event& gate, int value, int& alive) {
  const Alive here(alive);
  co_await gate.wait();
  co_return value;
}
// All these tasks have to be alive at the same time.
Task<> open_for(int many, Event& gate, int& alive) {
  EXPECT_EQ(alive, many);
  gate.set();
  co_return;
}
Task<int> give_up_after(Duration delay) {
  co_await sleep_for(delay);
  throw std::runtime_error("failed");
}
Task<int> at_once(int value) { co_return value; }

TEST_P(Combining, ATimeoutEndsTheTask) {
  Loop loop(options());
  int alive = 0;
  const auto body = [&]() -> Task<> {
    const Result<int> late = co_await with_timeout(1ms, after(kForever, 1, alive));
    EXPECT_EQ(late.error(), Errc::timed_out);
    EXPECT_EQ(alive, 0);
    Result<int> punctual = co_await with_timeout(1h, after(1ms, 2, alive));
    EXPECT_EQ(std::move(punctual).value(), 2);
    Result<int> immediate = co_await with_timeout(0ms, at_once(3));
    EXPECT_EQ(std::move(immediate).value(), 3);
    const Result<> sleep = co_await with_timeout(1ms, sleep_for(1h));
    EXPECT_EQ(sleep.error(), Errc::timed_out);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, ATimeoutInTheSameTurnLosesNoValue) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    Loop loop(options());
    Channel<int> channel(1);
    std::error_code error;
    bool pushed = false;
    Timer timer = loop.timer([&] { pushed = channel.try_push(7); });
    const auto body = [&]() -> Task<> {
      timer.start(1ms);
      error = (co_await with_timeout(3ms, channel.pop())).error();
    };
    const Spawned spawned = spawn(loop, body());
    ASSERT_TRUE(loop.poll().has_value());
    if (pushed) continue;  // the process was stopped for a millisecond
    const TimePoint both_due = monotonic_now() + 5ms;
    while (monotonic_now() < both_due) {
    }
    ASSERT_TRUE(loop.poll().has_value());
    EXPECT_TRUE(pushed);
    EXPECT_EQ(error, Errc::timed_out);
    EXPECT_EQ(channel.try_pop(), 7);
    return;
  }
  FAIL() << "the timer was always due at once";
}

TEST_P(Combining, ATimeoutLetsExceptionsThrough) {
  Loop loop(options());
  bool caught = false;
  const auto body = [&]() -> Task<> {
    try {
      (void)co_await with_timeout(1h, give_up_after(0ms));
    } catch (const std::runtime_error&) {
      caught = true;
    }
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_TRUE(caught);
}

TEST_P(Combining, AResultIsNotWrappedTwice) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    Line line(co_await this_loop());
    std::array<std::byte, 8> buffer;
    const Result<std::size_t> read = co_await with_timeout(1ms, line.stream.read(buffer));
    EXPECT_EQ(read.error(), Errc::timed_out);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, AllGiveATuple) {
  Loop loop(options());
  int alive = 0;
  const auto body = [&]() -> Task<> {
    Event gate;
    auto [one, two, nothing, three] = co_await when_all(
        behind(gate, 1, alive), behind(gate, 2, alive), open_for(2, gate, alive), at_once(3));
    EXPECT_EQ(one, 1);
    EXPECT_EQ(two, 2);
    EXPECT_EQ(nothing, std::monostate());
    EXPECT_EQ(three, 3);
    EXPECT_EQ(alive, 0);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, AllOfAVectorGiveAVector) {
  Loop loop(options());
  int alive = 0;
  const auto body = [&]() -> Task<> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(after(milliseconds(5 - i), i, alive));
    const std::vector<int> values = co_await when_all(std::move(tasks));
    EXPECT_EQ(values, (std::vector<int>{0, 1, 2, 3, 4}));
    const std::vector<int> none = co_await when_all(std::vector<Task<int>>());
    EXPECT_TRUE(none.empty());
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, AFailureEndsTheOthers) {
  Loop loop(options());
  int alive = 0;
  int caught = 0;
  const auto body = [&]() -> Task<> {
    try {
      co_await when_all(after(kForever, 1, alive), give_up_after(1ms));
    } catch (const std::runtime_error&) {
      ++caught;
    }
    EXPECT_EQ(alive, 0);
    std::vector<Task<int>> tasks;
    tasks.push_back(after(kForever, 1, alive));
    tasks.push_back(give_up_after(0ms));
    try {
      co_await when_all(std::move(tasks));
    } catch (const std::runtime_error&) {
      ++caught;
    }
    EXPECT_EQ(alive, 0);
    try {
      (void)co_await when_any(after(kForever, 1, alive), give_up_after(1ms));
    } catch (const std::runtime_error&) {
      ++caught;
    }
    EXPECT_EQ(alive, 0);
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_EQ(caught, 3);
}

TEST_P(Combining, TheFirstWinsAndTheLosersAreGone) {
  Loop loop(options());
  int alive = 0;
  const auto body = [&]() -> Task<> {
    const auto first = co_await when_any(after(kForever, 1, alive), after(1ms, 2, alive));
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(first.index(), 1u);
    EXPECT_EQ(std::get<1>(first), 2);
    const auto immediate = co_await when_any(at_once(3), after(kForever, 1, alive));
    EXPECT_EQ(std::get<0>(immediate), 3);
    EXPECT_EQ(alive, 0) << "the other one did not begin";
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(after(i == 2 ? 1ms : 1h, i, alive));
    const First<int> one = co_await when_any(std::move(tasks));
    EXPECT_EQ(one.index, 2u);
    EXPECT_EQ(one.value, 2);
    EXPECT_EQ(alive, 0);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, WhatIsDecidedBeginsNoMore) {
  Loop loop(options());
  int begun = 0;
  const auto ready = [&]() -> Task<int> { co_return ++begun; };
  const auto fails = [&]() -> Task<int> {
    ++begun;
    throw std::runtime_error("no");
    co_return 0;
  };
  const auto body = [&]() -> Task<> {
    const auto first = co_await when_any(ready(), ready());
    EXPECT_EQ(first.index(), 0u);
    EXPECT_EQ(begun, 1) << "the second has no side effects";
    bool failed = false;
    try {
      (void)co_await when_all(fails(), ready());
    } catch (const std::runtime_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(begun, 2);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Combining, NothingToRunIsABug) {
  Loop loop(options());
  EXPECT_DEATH(spawn(loop, Task<>()).detach(), "check failed");
  EXPECT_DEATH((void)when_any(std::vector<Task<>>()), "check failed");
}

INSTANTIATE_TEST_SUITE_P(Backends, Combining, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
