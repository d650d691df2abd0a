// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/slow_watch.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/log_capture.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SlowWatch, ABatchWithoutACallIsNotSlow) {
  const LogCapture log;
  int reports = 0;
  LoopOptions options;
  options.slow_callback = milliseconds(20);
  options.on_slow = [&](const HandleInfo&, Duration) { ++reports; };
  LoopStats stats;
  SlowWatch watch(options, stats);
  const TimePoint start = monotonic_now();
  watch.begin_batch(start);
  watch.end_batch(start + seconds(1));  // no callback ran: the process was stopped
  EXPECT_EQ(reports, 0);
  watch.begin_batch(start);
  watch.count_calls(1);
  watch.end_batch(start + seconds(1));
  EXPECT_EQ(reports, 1);
}

}  // namespace
}  // namespace reactor
