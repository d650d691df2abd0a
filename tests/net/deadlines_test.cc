// SPDX-License-Identifier: MIT
#include "reactor/net/stream/internal/deadlines.h"

#include <gtest/gtest.h>

namespace reactor {
namespace {

using Limit = Deadlines::Limit;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(1000)};
constexpr TimePoint at(int after) { return kStart + seconds(after); }

TEST(Deadlines, WithoutLimitsNothingIsDue) {
  Deadlines deadlines;
  deadlines.watch_reading(true, kStart);
  deadlines.watch_writing(true, kStart);
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever);
  EXPECT_EQ(deadlines.take_passed(at(1'000'000)), Limit::none);
}

TEST(Deadlines, TheEarliestIsNext) {
  Deadlines deadlines;
  deadlines.set_main(at(40));
  EXPECT_EQ(deadlines.next_due(), at(40));
  deadlines.set_total(at(30));
  EXPECT_EQ(deadlines.next_due(), at(30));
  deadlines.set_write_timeout(seconds(20));
  deadlines.watch_writing(true, kStart);
  EXPECT_EQ(deadlines.next_due(), at(20));
  deadlines.set_read_timeout(seconds(10));
  deadlines.watch_reading(true, kStart);
  EXPECT_EQ(deadlines.next_due(), at(10));
}

TEST(Deadlines, EachThatPassedIsToldOnce) {
  Deadlines deadlines;
  deadlines.set_main(at(1));
  deadlines.set_total(at(4));
  deadlines.set_read_timeout(seconds(2));
  deadlines.set_write_timeout(seconds(3));
  deadlines.watch_reading(true, kStart);
  deadlines.watch_writing(true, kStart);
  EXPECT_EQ(deadlines.take_passed(kStart), Limit::none);
  EXPECT_EQ(deadlines.take_passed(at(1)), Limit::main);
  EXPECT_EQ(deadlines.take_passed(at(1)), Limit::none);
  EXPECT_EQ(deadlines.take_passed(at(2)), Limit::reading);
  EXPECT_EQ(deadlines.take_passed(at(3)), Limit::writing);
  EXPECT_EQ(deadlines.take_passed(at(4)), Limit::total);
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever);
}

TEST(Deadlines, OfSeveralThatPassedThoseThatEndTheStreamComeFirst) {
  Deadlines deadlines;
  deadlines.set_main(at(1));
  deadlines.set_read_timeout(seconds(1));
  deadlines.set_write_timeout(seconds(1));
  deadlines.watch_reading(true, kStart);
  deadlines.watch_writing(true, kStart);
  deadlines.set_total(at(2));
  for (const Limit limit : {Limit::total, Limit::writing, Limit::reading, Limit::main}) {
    EXPECT_EQ(deadlines.take_passed(at(9)), limit);
  }
  EXPECT_EQ(deadlines.take_passed(at(9)), Limit::none);
}

TEST(Deadlines, ATimeoutCountsFromTheBeginningOfTheWait) {
  Deadlines deadlines;
  deadlines.set_read_timeout(seconds(10));
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever) << "no wait yet";
  deadlines.watch_reading(true, at(1));
  deadlines.watch_reading(true, at(5));
  EXPECT_EQ(deadlines.next_due(), at(11)) << "the wait goes on";
  deadlines.was_read();
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever);
  deadlines.watch_reading(true, at(6));
  EXPECT_EQ(deadlines.next_due(), at(16));
  deadlines.watch_reading(false, at(7));
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever) << "a pause ends the wait";
}

TEST(Deadlines, ReadingAndWritingWaitIndependently) {
  Deadlines deadlines;
  deadlines.set_read_timeout(seconds(10));
  deadlines.set_write_timeout(seconds(20));
  deadlines.watch_reading(true, kStart);
  deadlines.watch_writing(true, kStart);
  deadlines.was_read();
  EXPECT_EQ(deadlines.next_due(), at(20));
  deadlines.watch_reading(true, at(5));
  deadlines.was_written();
  EXPECT_EQ(deadlines.next_due(), at(15));
}

TEST(Deadlines, ANewTimeoutEndsTheWaitAndZeroSwitchesItOff) {
  Deadlines deadlines;
  EXPECT_FALSE(deadlines.has_write_timeout());
  deadlines.set_write_timeout(seconds(5));
  EXPECT_TRUE(deadlines.has_write_timeout());
  deadlines.watch_writing(true, kStart);
  deadlines.set_write_timeout(seconds(50));
  deadlines.watch_writing(true, at(1));
  EXPECT_EQ(deadlines.next_due(), at(51));
  deadlines.set_write_timeout(Duration::zero());
  deadlines.watch_writing(true, at(1));
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever);
  EXPECT_FALSE(deadlines.has_write_timeout());
}

TEST(Deadlines, OnlyAMainLimitThatIsSetIsPostponedAndOnlyToLater) {
  Deadlines deadlines;
  deadlines.postpone_main(at(10));
  EXPECT_EQ(deadlines.main(), Deadlines::kNever);
  deadlines.set_main(at(5));
  deadlines.postpone_main(at(10));
  EXPECT_EQ(deadlines.main(), at(10));
  deadlines.postpone_main(at(7));
  EXPECT_EQ(deadlines.main(), at(10));
}

TEST(Deadlines, ATimeoutBeyondTheClockNeverPasses) {
  Deadlines deadlines;
  deadlines.set_read_timeout(kForever);
  deadlines.watch_reading(true, kStart);
  EXPECT_EQ(deadlines.next_due(), Deadlines::kNever);
  deadlines.set_total(TimePoint::min());
  EXPECT_EQ(deadlines.take_passed(kStart), Limit::total);
}

}  // namespace
}  // namespace reactor
