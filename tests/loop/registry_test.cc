// SPDX-License-Identifier: MIT
// The registry over a kernel that refuses to watch.
#include "reactor/loop/internal/registry.h"

#include <map>
#include <new>
#include <string>
#include <utility>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

// What the kernel has to give. Shared by a registry's pollers.
struct Supply {
  int refusals = 0;     // that are still to come
  bool throws = false;  // std::bad_alloc in place of an error
};

// A poller whose add() fails as long as the supply says so.
class ScarcePoller final : public Poller {
 public:
  ScarcePoller(std::unique_ptr<Poller> poller, Supply& supply)
      : poller_(std::move(poller)), supply_(supply) {}

  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    if (supply_.refusals > 0) {
      --supply_.refusals;
      if (supply_.throws) throw std::bad_alloc();
      return std::make_error_code(std::errc::no_space_on_device);  // epoll's: max_user_watches
    }
    return poller_->add(fd, interest, token, trigger);
  }
  std::error_code modify(int fd, Interest before, Interest after, Token token) override {
    return poller_->modify(fd, before, after, token);
  }
  std::error_code remove(int fd, Interest before) override { return poller_->remove(fd, before); }
  Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) override {
    return poller_->wait(events, timeout);
  }
  [[nodiscard]] bool knows_files() const noexcept override { return poller_->knows_files(); }

 private:
  std::unique_ptr<Poller> poller_;
  Supply& supply_;
};

// One end of a pipe, and how often it was found readable.
class Target final : public PollTarget {
 public:
  Target() : pipe_(make_pipe()) { set_fd(pipe_.near.get()); }
  void on_ready(Ready) override { ++calls; }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"target", fd(), {}, {}}; }
  [[nodiscard]] bool holds_file() const noexcept override { return holds; }
  void fill() { write_text(pipe_.far.get(), "x"); }

  int calls = 0;
  bool holds = true;

 private:
  FdPair pipe_;
};

class RegistryTest : public LoopTest {
 protected:
  [[nodiscard]] std::unique_ptr<Poller> poller() {
    return std::make_unique<ScarcePoller>(get(make_poller(GetParam())), supply_);
  }
  // Has `target` watched without interest, so that the kernel does not hold it any more.
  void pause(Target& target) {
    ASSERT_FALSE(registry_.attach(target, Interest::read, false, Trigger::level));
    ASSERT_FALSE(registry_.set_interest(target, Interest::none));
    target.fill();
    turn(milliseconds(1));
  }
  void turn(Duration limit) {
    ASSERT_FALSE(registry_.wait(limit));
    Ready ready;
    while (PollTarget* const target = registry_.next_event(ready)) target->on_ready(ready);
  }
  // Returns whether the target is called. Only the registry's own retries end a wait before kLimit.
  [[nodiscard]] bool hears(const Target& target) {
    const int before = target.calls;
    const TimePoint end = monotonic_now() + kLimit;
    while (target.calls == before && monotonic_now() < end) turn(kLimit);
    return target.calls > before;
  }

  Supply supply_;
  Registry registry_{poller()};
};

TEST_P(RegistryTest, WhatTheKernelRefusesIsAskedForAgain) {
  for (const bool throws : {false, true}) {
    Target target;
    pause(target);
    EXPECT_EQ(target.calls, 0);
    supply_ = {.refusals = 3, .throws = throws};
    const std::errc expected =
        throws ? std::errc::not_enough_memory : std::errc::no_space_on_device;
    EXPECT_EQ(registry_.set_interest(target, Interest::read), expected);
    EXPECT_EQ(registry_.interest(target), Interest::read) << "it is wanted all the same";
    const TimePoint begin = monotonic_now();
    EXPECT_TRUE(hears(target));
    EXPECT_GE(monotonic_now() - begin, Registry::kCatchUpInterval) << "not asked all the time";
    EXPECT_EQ(supply_.refusals, 0);
    registry_.detach(target, Detach::staying);
  }
}

TEST_P(RegistryTest, WhatIsNotWantedAnyMoreIsNotAskedFor) {
  Target target;
  pause(target);
  supply_.refusals = 1;
  EXPECT_TRUE(registry_.set_interest(target, Interest::read));
  EXPECT_FALSE(registry_.set_interest(target, Interest::none));
  supply_.refusals = 1;
  turn(milliseconds(1));
  EXPECT_EQ(supply_.refusals, 1);
  EXPECT_EQ(target.calls, 0);
  registry_.detach(target, Detach::staying);
}

// G8: the number may be another file's by then.
TEST_P(RegistryTest, WhatWasClosedMeanwhileIsNotAskedFor) {
  Target target;
  pause(target);
  supply_.refusals = 1;
  EXPECT_TRUE(registry_.set_interest(target, Interest::read));
  target.holds = false;
  turn(milliseconds(1));
  EXPECT_FALSE(registry_.alive(target));
  EXPECT_EQ(target.calls, 0);
  registry_.detach(target, Detach::staying);
}

// In a new kernel set all have to be added, and one that is refused keeps no other one out.
TEST_P(RegistryTest, ARebuiltSetIsCompletedLater) {
  for (const bool throws : {false, true}) {
    Target first, second, third;
    for (Target* const each : {&first, &second, &third}) {
      ASSERT_FALSE(registry_.attach(*each, Interest::read, false, Trigger::level));
    }
    supply_ = {.refusals = 2, .throws = throws};
    EXPECT_TRUE(registry_.rebuild(poller()));
    EXPECT_EQ(supply_.refusals, 0);
    third.fill();
    EXPECT_TRUE(hears(third));
    first.fill();
    second.fill();
    EXPECT_TRUE(hears(first) && (second.calls > 0 || hears(second)));
    for (Target* const each : {&first, &second, &third}) registry_.detach(*each, Detach::staying);
  }
}

TEST_P(RegistryTest, ASharedTargetIsCompletedLater) {
  Target target;
  ASSERT_FALSE(registry_.attach(target, Interest::read, false, Trigger::level));
  target.fill();
  supply_.refusals = 1;
  registry_.share(target);
  EXPECT_EQ(supply_.refusals, 0);
  EXPECT_TRUE(hears(target));
  registry_.detach(target, Detach::staying);
}

INSTANTIATE_TEST_SUITE_P(Backends, RegistryTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
