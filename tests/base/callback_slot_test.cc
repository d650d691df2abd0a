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

TEST(CallbackSlots, CallAgainAndAgain) {
  HeldCallback<int(int)> slot;
  EXPECT_FALSE(slot);
  slot = [sum = 0](int more) mutable { return sum += more; };
  EXPECT_TRUE(slot);
  EXPECT_EQ(slot(1), 1);
  EXPECT_EQ(slot(2), 3) << "the same callable";
}

TEST(CallbackSlots, ACallableMayReplaceItself) {
  HeldCallback<void()> slot;
  std::string said;
  slot = [&, own = kOwn] {
    slot = [&said] { said += " second"; };
    EXPECT_EQ(own, kOwn) << "it lives until it returns";
    said += "first";
  };
  slot();
  slot();
  EXPECT_EQ(said, "first second");
}

TEST(CallbackSlots, ACallableMayRemoveItself) {
  HeldCallback<void()> slot;
  slot = [&slot, own = kOwn] {
    slot = nullptr;
    EXPECT_EQ(own, kOwn);
  };
  slot();
  EXPECT_FALSE(slot);
}

TEST(CallbackSlots, ACallableMayDestroyTheSlot) {
  auto slot = std::make_unique<HeldCallback<std::string()>>();
  *slot = [&slot, own = kOwn] {
    slot.reset();
    return own;
  };
  EXPECT_EQ((*slot)(), kOwn);
  EXPECT_EQ(slot, nullptr);
}

TEST(CallbackSlots, ARunningCallableIsNotEnteredAgain) {
  HeldCallback<void()> slot;
  int calls = 0;
  slot = [&] {
    ++calls;
    EXPECT_FALSE(slot);
    if (slot) slot();
  };
  slot();
  EXPECT_TRUE(slot);
  EXPECT_EQ(calls, 1);
}

TEST(CallbackSlots, ItsSuccessorMayRunInsideIt) {
  HeldCallback<void()> slot;
  std::string said;
  slot = [&, own = kOwn] {
    slot = [&said] { said += "inner "; };
    slot();
    said += own.substr(0, 1);
  };
  slot();
  slot();
  EXPECT_EQ(said, "inner oinner ");
}

TEST(CallbackSlots, AnExceptionLeavesTheCallableThere) {
  HeldCallback<void()> slot;
  int calls = 0;
  slot = [&] {
    if (++calls == 1) throw calls;
  };
  EXPECT_THROW(slot(), int);
  slot();
  EXPECT_EQ(calls, 2);
}

TEST(CallbackSlots, TakingLeavesItEmpty) {
  HeldCallback<int()> slot;
  slot = [] { return 7; };
  Callback<int()> taken = slot.take();
  EXPECT_FALSE(slot);
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
