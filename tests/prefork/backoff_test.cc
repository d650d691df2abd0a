// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Backoff, AllSlotsMayDieAtOnce) {
  Backoff backoff(8);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(backoff.after_death(milliseconds(5)), Duration::zero());
  EXPECT_GT(backoff.after_death(milliseconds(5)), Duration::zero());
}

TEST(Backoff, DoublesUpToItsLimit) {
  Backoff backoff(1);
  Duration before = Backoff::kFirst / 2;
  static_cast<void>(backoff.after_death({}));
  static_cast<void>(backoff.after_death({}));
  for (int i = 0; i < 100; ++i) {
    const Duration pause = backoff.after_death({});
    EXPECT_EQ(pause, std::min(before * 2, Backoff::kLongest));
    before = pause;
  }
}

TEST(Backoff, ALongLifeEndsIt) {
  Backoff backoff(1);
  for (int i = 0; i < 20; ++i) static_cast<void>(backoff.after_death({}));
  EXPECT_EQ(backoff.after_death(seconds(2)), Duration::zero());
  EXPECT_EQ(backoff.after_death({}), Duration::zero());
}

// The cost of a crash loop, in which each worker dies as soon as it is forked.
TEST(Backoff, FewForksInFiveSeconds) {
  for (const unsigned slots : {1U, 2U}) {
    Backoff backoff(slots);
    std::vector<Duration> due(slots, Duration::zero());
    int forks = 0;
    for (;;) {
      const auto next = std::min_element(due.begin(), due.end());
      if (*next >= seconds(5)) break;
      ++forks;
      *next += backoff.after_death({});
    }
    EXPECT_LT(forks, 10) << slots << " slots";
  }
}

}  // namespace
}  // namespace reactor::prefork
