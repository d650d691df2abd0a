// SPDX-License-Identifier: MIT
#include "reactor/base/held_callback.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "reactor/base/lifetime.h"

namespace reactor {
namespace {

const std::string kOwn(100, 'o');

TEST(HeldCallbacks, CallAgainAndAgain) {
  HeldCallback<int(int)> held;
  EXPECT_FALSE(held);
  held = [sum = 0](int more) mutable { return sum += more; };
  EXPECT_TRUE(held);
  EXPECT_EQ(held(1), 1);
  EXPECT_EQ(held(2), 3) << "the same callable";
}

TEST(HeldCallbacks, ACallableMayReplaceItself) {
  HeldCallback<void()> held;
  std::string said;
  held = [&, own = kOwn] {
    held = [&said] { said += " second"; };
    EXPECT_EQ(own, kOwn) << "it lives until it returns";
    said += "first";
  };
  held();
  held();
  EXPECT_EQ(said, "first second");
}

TEST(HeldCallbacks, ACallableMayRemoveItself) {
  HeldCallback<void()> held;
  held = [&held, own = kOwn] {
    held = nullptr;
    EXPECT_EQ(own, kOwn);
  };
  held();
  EXPECT_FALSE(held);
}

TEST(HeldCallbacks, ACallableMayDestroyTheSlot) {
  auto held = std::make_unique<HeldCallback<std::string()>>();
  *held = [&held, own = kOwn] {
    held.reset();
    return own;
  };
  EXPECT_EQ((*held)(), kOwn);
  EXPECT_EQ(held, nullptr);
}

TEST(HeldCallbacks, ARunningCallableIsNotEnteredAgain) {
  HeldCallback<void()> held;
  int calls = 0;
  held = [&] {
    ++calls;
    EXPECT_FALSE(held);
    if (held) held();
  };
  held();
  EXPECT_TRUE(held);
  EXPECT_EQ(calls, 1);
}

TEST(HeldCallbacks, ItsSuccessorMayRunInsideIt) {
  HeldCallback<void()> held;
  std::string said;
  held = [&, own = kOwn] {
    held = [&said] { said += "inner "; };
    held();
    said += own.substr(0, 1);
  };
  held();
  held();
  EXPECT_EQ(said, "inner oinner ");
}

TEST(HeldCallbacks, AnExceptionLeavesTheCallableThere) {
  HeldCallback<void()> held;
  int calls = 0;
  held = [&] {
    if (++calls == 1) throw calls;
  };
  EXPECT_THROW(held(), int);
  held();
  EXPECT_EQ(calls, 2);
}

TEST(HeldCallbacks, TakingLeavesItEmpty) {
  HeldCallback<int()> held;
  held = [] { return 7; };
  Callback<int()> taken = held.take();
  EXPECT_FALSE(held);
  EXPECT_EQ(taken(), 7);
}

TEST(Lifetimes, TellEachWatchOfTheEnd) {
  auto lifetime = std::make_unique<Lifetime>();
  const Lifetime::Watch outer(*lifetime);
  {
    const Lifetime::Watch inner(*lifetime);
    EXPECT_FALSE(inner.over());
  }
  const Lifetime::Watch second(*lifetime);
  EXPECT_FALSE(outer.over());
  lifetime.reset();
  EXPECT_TRUE(outer.over());
  EXPECT_TRUE(second.over());
}

}  // namespace
}  // namespace reactor
