// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/run_clock.h"

#include <gtest/gtest.h>

namespace reactor::prefork {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RunClockTest : public ::testing::Test {
 protected:
  // Plays a turn after a wait of at most `planned` that took `took`. Returns the time by which the
  // clock has advanced.
  Duration turn(Duration planned, Duration took) {
    const TimePoint before = clock_.now();
    clock_.plan(planned);
    real_ += took;
    in_time_ = clock_.begin_turn(real_);
    return clock_.now() - before;
  }

  TimePoint real_{hours(1)};
  RunClock clock_{real_};
  bool in_time_ = true;
};

TEST_F(RunClockTest, GoesOnWithTheTimeOfEachTurn) {
  EXPECT_EQ(turn(seconds(1), milliseconds(3)), milliseconds(3));
  EXPECT_EQ(turn(seconds(1), seconds(1)), seconds(1));
  EXPECT_EQ(turn(seconds(1), seconds(1) + RunClock::kLate), seconds(1) + RunClock::kLate);
  EXPECT_EQ(turn(Duration::zero(), RunClock::kLate), RunClock::kLate);
  EXPECT_TRUE(in_time_);
}

TEST_F(RunClockTest, AWaitWithoutAnEndIsNoPause) {
  EXPECT_EQ(turn(kForever, hours(100)), hours(100));
  EXPECT_TRUE(in_time_);
}

TEST_F(RunClockTest, APauseDoesNotCount) {
  EXPECT_EQ(turn(seconds(1), hours(100)), Duration::zero());
  EXPECT_FALSE(in_time_);
  EXPECT_EQ(turn(seconds(1), milliseconds(700)), milliseconds(700));
  EXPECT_TRUE(in_time_);
  EXPECT_EQ(turn(seconds(1), seconds(5)), Duration::zero());
}

TEST_F(RunClockTest, WhereEachTurnIsLateTheWaitsCount) {
  EXPECT_EQ(turn(seconds(1), seconds(2)), Duration::zero());
  EXPECT_EQ(turn(seconds(1), seconds(2)), seconds(1));
  EXPECT_EQ(turn(milliseconds(10), seconds(2)), milliseconds(10));
}

}  // namespace
}  // namespace reactor::prefork
