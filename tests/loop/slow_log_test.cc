// SPDX-License-Identifier: MIT
// Log lines about slow callbacks: one for each place and interval, whatever clients do.
#include "reactor/loop/internal/slow_log.h"

#include <algorithm>
#include <string>

#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class SlowLogTest : public LoopTest {};

HandleInfo at(SourceLocation place) { return {"timer", -1, {}, place}; }

TEST(SlowLog, WritesALinePerPlaceAndIntervalAndCountsTheRest) {
  LogCapture log;
  SlowLog slow;
  const TimePoint start = monotonic_now();
  const HandleInfo one = at(SourceLocation::current());
  const HandleInfo other = at(SourceLocation::current());
  for (int i = 0; i < 100; ++i) {
    slow.report(one, 1, milliseconds(100 + i), start + milliseconds(i));
    slow.report(other, 1, milliseconds(5), start + milliseconds(i));
    slow.report({}, 7, milliseconds(20), start + milliseconds(i));
  }
  ASSERT_EQ(log.lines().size(), 3U);
  EXPECT_NE(log.lines()[0].text.find("took 100 ms"), std::string::npos);
  EXPECT_NE(log.lines()[2].text.find("7 callbacks took 20 ms"), std::string::npos);
  slow.report(one, 1, milliseconds(50), start + SlowLog::kInterval - milliseconds(1));
  EXPECT_EQ(log.lines().size(), 3U);
  slow.report(one, 1, milliseconds(60), start + SlowLog::kInterval);
  ASSERT_EQ(log.lines().size(), 4U);
  EXPECT_NE(log.lines()[3].text.find("took 60 ms; 100 more since the last such line, up to 199 ms"),
            std::string::npos)
      << log.lines()[3].text;
}

// Many places share few entries, so a line that is left out may count for another place.
TEST(SlowLog, ManyPlacesShareOne) {
  LogCapture log;
  SlowLog slow;
  for (unsigned i = 0; i < 1000; ++i) {
    slow.report(at(SourceLocation("file.cc", i)), 1, milliseconds(100), monotonic_now());
  }
  EXPECT_LE(log.lines().size(), 16U);
}

TEST_P(SlowLogTest, OfALoopLeavesLinesOutButNoCalls) {
  LogCapture log;
  int calls = 0;
  LoopOptions settings = options();
  settings.slow_callback = milliseconds(5);
  settings.on_slow = [&](const HandleInfo&, Duration) { ++calls; };
  Loop loop(std::move(settings));
  Timer timer = loop.timer([] { burn(milliseconds(6)); });
  for (int i = 0; i < 5; ++i) {
    timer.start(Duration::zero());
    EXPECT_TRUE(loop.run());
    EXPECT_TRUE(loop.poll());
  }
  EXPECT_GE(calls, 5);
  const auto lines = std::count_if(log.lines().begin(), log.lines().end(), [](const auto& line) {
    return line.text.find("slow callback: timer") != std::string::npos;
  });
  EXPECT_EQ(lines, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, SlowLogTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
