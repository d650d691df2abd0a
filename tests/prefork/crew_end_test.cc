// SPDX-License-Identifier: MIT
// The end of a crew: it is dismissed, or gives way to another master's workers.
#include "tests/prefork/crew_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::seconds;

class CrewEndTest : public CrewTest {};

// The other master's workers have the same slot numbers, so each worker hands over to its own slot.
TEST_F(CrewEndTest, WhoGivesWayHandsEachSlotToItself) {
  make_ready(plan(2));
  for (const pid_t pid : {kFirst, kFirst + 1}) heard(pid);
  crew_->give_way();
  for (const pid_t pid : {kFirst, kFirst + 1}) {
    const std::vector<Message> messages = heard(pid);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(messages[0].kind, Message::Kind::retire);
    EXPECT_EQ(messages[0].value, static_cast<std::uint32_t>(pid - kFirst));
  }
}

TEST_F(CrewEndTest, NobodyIsStartedAnyMore) {
  using End = void (*)(Crew&);
  for (const End end :
       {End([](Crew& crew) { crew.give_way(); }), End([](Crew& crew) { crew.dismiss(SIGTERM); })}) {
    const int before = calls_.started;
    const pid_t first = kFirst + before;
    make(plan(2));
    for (const pid_t pid : {first, first + 1}) ready(pid);
    turn();
    end(*crew_);
    for (const pid_t pid : {first, first + 1}) die(pid, 0);
    turn();
    EXPECT_TRUE(crew_->empty());
    for (int i = 0; i < 300; ++i) {
      clock_.plan(std::chrono::milliseconds(10));
      clock_.begin_turn(real_ += std::chrono::milliseconds(10));
      turn();
    }
    EXPECT_EQ(calls_.started, before + 2);
    EXPECT_EQ(crew_->next_turn() == TimePoint::max() || crew_->next_turn() > clock_.now(), true)
        << "nothing is due";
  }
}

// An aborted worker keeps the deadline that it has, and gets no message.
TEST_F(CrewEndTest, OneThatIsAbortedIsNotToldToGiveWay) {
  make_ready(plan(2));
  pass(seconds(5), {kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  for (const pid_t pid : {kFirst, kFirst + 1}) heard(pid);
  crew_->give_way();
  EXPECT_TRUE(heard(kFirst).empty());
  EXPECT_EQ(heard(kFirst + 1).size(), 1U);
}

TEST_F(CrewEndTest, OneThatIsAbortedShortlyBeforeItsDeadlineGetsNoMoreTime) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  pass(seconds(7), {kFirst, kFirst + 1});
  pass(seconds(4), {kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  pass(seconds(1), {kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGKILL) << "12 s after its successor was ready";
}

TEST_F(CrewEndTest, OneThatIsAbortedBeforeItsSuccessorIsReadyGetsNoMoreTime) {
  make_ready(plan(1));
  pass(seconds(2), {kFirst});
  pass(seconds(1));
  ask_for_successor(kFirst);
  pass(seconds(3));
  ASSERT_EQ(calls_.signals[kFirst].back(), SIGABRT);
  ready(kFirst + 1);
  turn();
  EXPECT_FALSE(any(heard(kFirst), Message::Kind::retire));
  pass(seconds(2), {kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGKILL);
}

TEST_F(CrewEndTest, OneThatLeavesAlreadyGetsNoMoreTime) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  pass(seconds(9), {kFirst, kFirst + 1});
  crew_->give_way();
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
  EXPECT_TRUE(calls_.signals[kFirst + 1].empty());
}

TEST_F(CrewEndTest, OneThatDoesNotEndInTimeIsKilledOnce) {
  make_ready(plan(2));
  crew_->give_way();
  pass(plan(2).graceful_timeout + kKillDelay - std::chrono::milliseconds(20), {kFirst, kFirst + 1});
  EXPECT_TRUE(calls_.signals[kFirst].empty());
  pass(seconds(1), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
  EXPECT_EQ(calls_.signals[kFirst + 1], std::vector<int>{SIGKILL});
}

// A worker that does not read its messages must not keep the listeners of an address that ends.
TEST_F(CrewTest, AWorkerThatCanNotBeToldOfADroppedAddressGetsTerm) {
  make_ready(plan(2));
  const Message drop{.kind = Message::Kind::drop, .value = 1};
  crew_->tell_all(drop);
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::drop));
  EXPECT_TRUE(calls_.signals[kFirst].empty());
  for (int i = 0; i < 100'000 && calls_.signals[kFirst].empty(); ++i) {
    crew_->tell_all({.kind = Message::Kind::look});
    crew_->tell_all(drop);
    heard(kFirst + 1);
  }
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGTERM});
  EXPECT_TRUE(calls_.signals[kFirst + 1].empty());
}

}  // namespace
}  // namespace reactor::prefork
