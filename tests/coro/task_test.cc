// SPDX-License-Identifier: MIT
// These tests cover Task: results, exceptions, lazy start, and destruction.
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Tasks : public CoroTest {};

Task<int> number(int value) { co_return value; }
Task<std::unique_ptr<int>> pointer(int value) { co_return std::make_unique<int>(value); }
Task<int> failing(const char* what) {
  co_await yield();
  throw std::runtime_error(what);
}
Task<> set(int& target, int value) {
  target = value;
  co_return;
}

TEST_P(Tasks, GiveTheirResult) {
  Loop loop(options());
  int result = 0;
  const auto body = [&]() -> Task<> {
    const std::unique_ptr<int> forty = co_await pointer(40);
    result = *forty + co_await number(2);
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_EQ(result, 42);
}

// If tasks that end at once piled up on the stack, this many would overflow it at any level of
// optimisation.
TEST_P(Tasks, ThatEndAtOnceDoNotPileUp) {
  constexpr int kMany = 200'000;
  Loop loop(options());
  int plain = 0;
  int timed = 0;
  const auto body = [&]() -> Task<> {
    while (plain < kMany) plain += co_await number(1);
    while (timed < kMany) timed += (co_await with_timeout(1h, number(1))).value();
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_EQ(plain, kMany);
  EXPECT_EQ(timed, kMany);
}

TEST_P(Tasks, PassExceptionsOn) {
  Loop loop(options());
  std::string caught;
  const auto body = [&]() -> Task<> {
    try {
      co_await failing("inner");
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_EQ(caught, "inner");
}

TEST_P(Tasks, BeginWhenTheyAreAwaited) {
  Loop loop(options());
  int value = 0;
  const auto body = [&]() -> Task<> {
    Task<> later = set(value, 1);
    EXPECT_EQ(value, 0);
    Task<> moved = std::move(later);
    EXPECT_FALSE(later);
    co_await std::move(moved);
    EXPECT_EQ(value, 1);
  };
  EXPECT_TRUE(run(loop, body()));
  { const Task<> never = set(value, 2); }
  EXPECT_EQ(value, 1);
}

TEST_P(Tasks, KnowTheirLoop) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    Loop& mine = co_await this_loop();
    EXPECT_EQ(&mine, &loop);
  };
  EXPECT_TRUE(run(loop, body()));
}

Task<> nested(int depth, int& alive) {
  const Alive here(alive);
  if (depth == 0) {
    co_await sleep_for(kForever);
  } else {
    co_await nested(depth - 1, alive);
  }
}

TEST_P(Tasks, AreDestroyedWithAllThatTheyAwait) {
  Loop loop(options());
  int alive = 0;
  {
    const Spawned spawned = spawn(loop, nested(9, alive));
    ASSERT_TRUE(loop.poll().has_value());
    EXPECT_EQ(alive, 10);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(run_to_end(loop)) << "nothing is left to wait for";
}

INSTANTIATE_TEST_SUITE_P(Backends, Tasks, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
