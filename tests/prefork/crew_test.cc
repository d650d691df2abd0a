// SPDX-License-Identifier: MIT
// The decisions of the crew.
#include "reactor/prefork/internal/crew.h"

#include <sys/resource.h>
#include <unistd.h>

#include "tests/prefork/crew_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// ---- Starting ----

TEST_F(CrewTest, StartsAWorkerForEachSlot) {
  make(plan(3));
  EXPECT_EQ(calls_.started, 3);
  EXPECT_FALSE(crew_->complete());
  for (pid_t pid = kFirst; pid < kFirst + 3; ++pid) ready(pid);
  turn();
  EXPECT_TRUE(crew_->complete());
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewTest, AForkThatFailsIsTriedAgainAtMostTwiceASecond) {
  make_ready(plan(2));
  calls_.refuse = true;
  die(kFirst);
  calls_.tries = 0;
  pass(seconds(3), {kFirst + 1});
  EXPECT_LE(calls_.tries, 7);
  EXPECT_GE(calls_.tries, 2);
  calls_.refuse = false;
  pass(seconds(7), {kFirst + 1, kFirst + 2});
  EXPECT_EQ(calls_.started, 3);
}

// ---- Silence ----

TEST_F(CrewTest, EachSilenceIsReportedOnce) {
  make_ready(plan(1));
  for (int silence = 1; silence <= 2; ++silence) {
    beat(kFirst);
    pass(seconds(3));
    EXPECT_EQ(count("has been silent for"), silence);
    EXPECT_EQ(calls_.signals[kFirst].size(), static_cast<std::size_t>(silence));
    EXPECT_EQ(calls_.signals[kFirst].back(), SIGUSR2);
  }
}

TEST_F(CrewTest, OneThatIgnoresSigabrtIsKilledTwoSecondsLater) {
  make_ready(plan(1));
  pass(seconds(4));
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  pass(milliseconds(1950));
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGABRT);
  EXPECT_LE(crew_->next_turn(), clock_.now() + milliseconds(50));
  pass(milliseconds(100));
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT, SIGKILL}));
  pass(seconds(10));
  EXPECT_EQ(calls_.signals[kFirst].size(), 3U);
}

TEST_F(CrewTest, WithoutATimeoutALeavingWorkerIsKilledAtItsDeadlineAllTheSame) {
  Plan unlimited = plan(1);
  unlimited.timeout = Duration::zero();
  make_ready(unlimited);
  pass(hours(0) + seconds(20));
  EXPECT_TRUE(calls_.signals.empty());
  EXPECT_EQ(crew_->next_turn(), TimePoint::max());
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  ASSERT_TRUE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_EQ(crew_->next_turn(), clock_.now() + seconds(12));  // graceful_timeout and 2 s more
  pass(seconds(12));
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
}

// ---- Fewer workers ----

TEST_F(CrewTest, OneThatIsToRetireLeavesAsSoonAsTheOthersHaveTurned) {
  make_ready(plan(3));
  pass(seconds(1), {kFirst, kFirst + 1, kFirst + 2});
  heard(kFirst);
  crew_->resize(-1);
  turn();
  EXPECT_FALSE(heard(kFirst).empty()) << "a loop that sleeps must wake up";
  EXPECT_LE(crew_->next_turn(), clock_.now() + milliseconds(10));
  pass(milliseconds(10), {kFirst});
  EXPECT_FALSE(any(heard(kFirst + 2), Message::Kind::retire)) << "one is missing";
  pass(milliseconds(10), {kFirst + 1});
  EXPECT_TRUE(any(heard(kFirst + 2), Message::Kind::retire));
  EXPECT_EQ(count("does not serve now"), 0);
}

TEST_F(CrewTest, OneThatServesStaysUntilOneThatIsStuckIsReplaced) {
  make_ready(plan(2));
  pass(milliseconds(10), {kFirst, kFirst + 1});
  crew_->resize(-1);
  pass(seconds(5), {kFirst + 1});
  EXPECT_EQ(count("does not serve now"), 1);
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  die(kFirst, SIGABRT);
  pass(seconds(1), {kFirst + 1});
  EXPECT_FALSE(any(heard(kFirst + 1), Message::Kind::retire));
  ready(kFirst + 2);
  turn();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_EQ(calls_.started, 3);
}

TEST_F(CrewTest, OneThatDiesBeforeItRetiresLeavesItsQueueToTheOthers) {
  make_ready(plan(2));
  pass(milliseconds(10), {kFirst, kFirst + 1});
  crew_->resize(-1);
  turn();
  die(kFirst + 1);
  pass(milliseconds(20));
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::look));
  EXPECT_EQ(scoreboard_->occupant(1), nullptr);
  EXPECT_EQ(calls_.started, 2);
}

// ---- Pauses of the whole machine ----

TEST_F(CrewTest, APauseOfAllIsNoSilence) {
  make_ready(plan(2));
  for (int i = 0; i < 5; ++i) {
    pass(milliseconds(990));  // no loop turns: no event came, and the beat is 1 s
    pause(hours(1));
    pass(milliseconds(10), {kFirst, kFirst + 1});
  }
  EXPECT_TRUE(calls_.signals.empty());
  EXPECT_EQ(count("silent"), 0);
}

TEST_F(CrewTest, AStuckWorkerIsAbortedInSpiteOfPauses) {
  make_ready(plan(1));
  for (int i = 0; i < 8; ++i) {
    pass(milliseconds(500));
    pause(hours(1));
  }
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  pause(hours(1));
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGABRT);  // the 2 s after SIGABRT have not passed
}

TEST_F(CrewTest, APauseMovesEachDeadline) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  pass(seconds(3), {kFirst});
  pause(hours(1));  // the successor had 4 s to be ready
  ready(kFirst + 1);
  turn();
  ASSERT_TRUE(any(heard(kFirst), Message::Kind::retire));
  pass(seconds(9), {kFirst, kFirst + 1});
  pause(hours(1));  // the old worker had 12 s to end
  pass(seconds(2), {kFirst, kFirst + 1});
  EXPECT_TRUE(calls_.signals.empty());
  pass(seconds(1) + milliseconds(10), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
}

TEST_F(CrewTest, AWorkerThatDiesAfterAPauseLivedNoLonger) {
  make_ready(plan(1));
  for (int deaths = 1; deaths <= 3; ++deaths) {
    pause(hours(1));
    die(kFirst + calls_.started - 1);
    turn();
  }
  EXPECT_EQ(count("next start in 0 ms"), 2);  // the third restart in a row has to wait
}

// ---- Requests for a successor ----

TEST_F(CrewTest, AWorkerGetsASuccessorOnceAndNotBeforeASecondOfService) {
  make_ready(plan(1));
  ask_for_successor(kFirst);
  pass(milliseconds(980), {kFirst});
  EXPECT_EQ(calls_.started, 1);
  EXPECT_LE(crew_->next_turn(), clock_.now() + milliseconds(30));
  pass(milliseconds(30), {kFirst});
  EXPECT_EQ(calls_.started, 2);
  ready(kFirst + 1);
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.started, 2);
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::retire));
}

TEST_F(CrewTest, TheWishOfOneThatLeavesIsOver) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  ask_for_successor(kFirst);
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.started, 2);
}

TEST_F(CrewTest, OneThatAlwaysWantsToBeReplacedDoesNotHoldUpAReload) {
  make_ready(plan(2));
  ask_for_successor(kFirst);
  pass(seconds(1), {kFirst, kFirst + 1});
  ready(kFirst + 2);
  turn();
  ask_for_successor(kFirst + 2);
  pass(milliseconds(500), {kFirst + 1, kFirst + 2});
  crew_->renew_all();
  turn();
  ready(kFirst + 3);
  turn();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire)) << "the oldest";
  ready(kFirst + 4);
  turn();
  EXPECT_TRUE(crew_->settled());
  EXPECT_EQ(calls_.started, 5);
}

TEST_F(CrewTest, OneThatBreaksTheRulesIsKilledWithItsGroupAndReplacedSlowly) {
  make_ready(plan(1));
  pid_t last = kFirst;
  for (int deaths = 1; deaths <= 3; ++deaths) {
    pass(seconds(2), {last});  // long enough to make up for a death
    ASSERT_EQ(::write(calls_.workers.at(last).notices_fd(), "x", 1), 1);
    turn();
    EXPECT_EQ(calls_.signals[-last], std::vector<int>{SIGKILL});
    EXPECT_EQ(calls_.signals[last], std::vector<int>{SIGKILL});
    die(last, SIGKILL);
    turn();
    last = kFirst + calls_.started - 1;
    if (deaths < 3) ready(last);
  }
  EXPECT_EQ(calls_.started, 3) << "the fourth has to wait";
  EXPECT_EQ(count("suspect that clients run their code"), 3);
}

// ---- Upgrade ----

TEST_F(CrewTest, HeldWorkersAreReadyButServeNotBeforeTheirRelease) {
  held_ = true;
  make_ready(plan(2));
  EXPECT_TRUE(crew_->complete());
  pass(seconds(20));  // their loops don't turn yet
  EXPECT_TRUE(calls_.signals.empty());
  EXPECT_TRUE(heard(kFirst).empty());
  crew_->release();
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::serve));
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::serve));
  EXPECT_FALSE(crew_->held());
  pass(seconds(5), {kFirst});
  EXPECT_TRUE(calls_.signals[kFirst].empty());
  EXPECT_EQ(calls_.signals[kFirst + 1].back(), SIGABRT);
}

TEST_F(CrewTest, AHeldWorkerThatIsNotReadyInTimeIsAborted) {
  held_ = true;
  make(plan(1));
  pass(seconds(4));
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGABRT});
}

TEST_F(CrewTest, HeldWorkersAreToldToEndAsTheirLoopsHearNoSignal) {
  held_ = true;
  make_ready(plan(1));
  crew_->dismiss(SIGTERM);
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGTERM});
}

TEST_F(CrewTest, WithoutATimeoutASilentWorkerIsLivelyEnough) {
  make_ready(plan(1));
  pass(seconds(3) + milliseconds(500));
  EXPECT_FALSE(crew_->lively(seconds(3)));
  Plan unlimited = plan(1);
  unlimited.timeout = Duration::zero();
  crew_->reload({unlimited, {}});
  turn();
  ready(kFirst + 1);
  turn();
  die(kFirst, 0);
  pass(seconds(5));
  EXPECT_TRUE(crew_->lively(seconds(3)));
}

TEST_F(CrewTest, OneThatHasNoDescriptorIsNamedWithTheFigures) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd lowest(::dup(STDERR_FILENO));
  const rlimit none{static_cast<rlim_t>(lowest.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  make(plan(1));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(
      count("can't start worker 0: Too many open files: needs 32 descriptors at least and may "
            "have " +
            std::to_string(lowest.get())),
      1);
}

}  // namespace
}  // namespace reactor::prefork
