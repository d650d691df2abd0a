// SPDX-License-Identifier: MIT
#include "reactor/base/callback.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace reactor {
namespace {

// A callable of a chosen size that counts its live copies and its calls.
template <std::size_t Padding>
struct Probe {
  Probe(int& alive_count, int& call_count) : alive(&alive_count), calls(&call_count) { ++*alive; }
  Probe(Probe&& other) noexcept : alive(other.alive), calls(other.calls) { ++*alive; }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() { --*alive; }
  void operator()() { ++*calls; }
  int* alive;
  int* calls;
  std::array<char, Padding> padding{};
};

using Small = Probe<8>;
using Large = Probe<200>;
static_assert(sizeof(Small) <= Callback<void()>::kInlineSize);
static_assert(sizeof(Large) > Callback<void()>::kInlineSize);

template <class Callable>
class CallbackOf : public ::testing::Test {};
using Callables = ::testing::Types<Small, Large>;
TYPED_TEST_SUITE(CallbackOf, Callables);

TYPED_TEST(CallbackOf, CallsAndDestroysOnce) {
  int alive = 0, calls = 0;
  {
    Callback<void()> callback = TypeParam(alive, calls);
    EXPECT_EQ(alive, 1);
    callback();
    callback();
  }
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(alive, 0);
}

TYPED_TEST(CallbackOf, MovingLeavesTheSourceEmpty) {
  int alive = 0, calls = 0;
  Callback<void()> first = TypeParam(alive, calls);
  Callback<void()> second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from callback is empty
  EXPECT_TRUE(second);
  EXPECT_EQ(alive, 1);
  second();
  EXPECT_EQ(calls, 1);
}

TYPED_TEST(CallbackOf, AssigningDestroysWhatWasThere) {
  int old_alive = 0, new_alive = 0, calls = 0;
  Callback<void()> callback = TypeParam(old_alive, calls);
  callback = Callback<void()>(TypeParam(new_alive, calls));
  EXPECT_EQ(old_alive, 0);
  EXPECT_EQ(new_alive, 1);
  callback();
  EXPECT_EQ(calls, 1);
}

TYPED_TEST(CallbackOf, ResetDestroysAndEmpties) {
  int alive = 0, calls = 0;
  Callback<void()> callback = TypeParam(alive, calls);
  callback.reset();
  EXPECT_FALSE(callback);
  EXPECT_EQ(alive, 0);
  callback.reset();
  EXPECT_EQ(alive, 0);
}

TYPED_TEST(CallbackOf, AssigningItselfKeepsIt) {
  int alive = 0, calls = 0;
  Callback<void()> callback = TypeParam(alive, calls);
  Callback<void()>& alias = callback;
  callback = std::move(alias);
  ASSERT_TRUE(callback);
  EXPECT_EQ(alive, 1);
}

// reset() runs the destructors of captured values, which may look at the callback again.
TEST(Callback, IsEmptyAlreadyWhileItsCallableIsDestroyed) {
  struct Looker {
    explicit Looker(bool& seen_empty) : seen(&seen_empty) {}
    Looker(Looker&& other) noexcept
        : seen(other.seen), owner(std::exchange(other.owner, nullptr)) {}
    ~Looker() {
      if (owner != nullptr) *seen = !static_cast<bool>(*owner);
    }
    bool* seen;
    Callback<void(int)>* owner = nullptr;
    void operator()(int) {}
  };
  bool seen_empty = false;
  Callback<void(int)> callback;
  Looker looker(seen_empty);
  looker.owner = &callback;
  callback = std::move(looker);
  callback.reset();
  EXPECT_TRUE(seen_empty);
}

TEST(Callback, DefaultAndNullAreEmpty) {
  const Callback<void()> made{};
  const Callback<void()> null = nullptr;
  EXPECT_FALSE(made);
  EXPECT_FALSE(null);
}

TEST(Callback, TakesMoveOnlyCaptures) {
  auto number = std::make_unique<int>(5);
  Callback<int()> callback = [held = std::move(number)] { return *held; };
  Callback<int()> moved = std::move(callback);
  EXPECT_EQ(moved(), 5);
}

TEST(Callback, PassesArgumentsAndResults) {
  Callback<std::string(std::string, int)> repeat = [](std::string text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  EXPECT_EQ(repeat("ab", 3), "ababab");
  Callback<void(std::unique_ptr<int>)> consume = [](std::unique_ptr<int> number) {
    EXPECT_EQ(*number, 9);
  };
  consume(std::make_unique<int>(9));
  int target = 0;
  Callback<void(int&)> set = [](int& number) { number = 4; };
  set(target);
  EXPECT_EQ(target, 4);
}

TEST(Callback, KeepsTheStateOfAMutableLambda) {
  Callback<int()> next = [count = 0]() mutable { return ++count; };
  EXPECT_EQ(next(), 1);
  EXPECT_EQ(next(), 2);
}

TEST(Callback, TakesAFunctionPointer) {
  int (*const twice)(int) = [](int number) { return 2 * number; };
  Callback<int(int)> callback = twice;
  EXPECT_EQ(callback(21), 42);
}

TEST(Callback, LetsExceptionsThrough) {
  Callback<void()> callback = [] { throw std::runtime_error("out"); };
  EXPECT_THROW(callback(), std::runtime_error);
  EXPECT_TRUE(callback);
}

TEST(Callback, CallablesWithStrictAlignmentAreAligned) {
  struct alignas(64) Aligned {
    std::uintptr_t operator()() const { return reinterpret_cast<std::uintptr_t>(this) % 64; }
  };
  Callback<std::uintptr_t()> callback = Aligned{};
  Callback<std::uintptr_t()> moved = std::move(callback);
  EXPECT_EQ(moved(), 0U);
}

}  // namespace
}  // namespace reactor
