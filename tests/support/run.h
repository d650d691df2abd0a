// SPDX-License-Identifier: MIT
// These functions run a loop in a test. None of them runs for ever.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>

#include "reactor/base/clock.h"
#include "reactor/loop/loop.h"
#include "tests/support/continued.h"

namespace reactor {

// The limit of any wait in a test. It is about a hundred times longer than the wait needs, because
// machines are shared.
inline constexpr Duration kLimit = std::chrono::seconds(10);

// The processor time that this process has used.
[[nodiscard]] inline Duration cpu_time() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + Duration(used.tv_nsec);
}

// Limits a wait. A test that computes may share its processor with many others, so each second of
// processor time that the test uses puts the end off by ten seconds. A test that only waits for an
// event gets `limit`. No test gets more than ten times `limit`.
class Patience {
 public:
  explicit Patience(Duration limit) : limit_(limit) {}
  [[nodiscard]] Duration left() const {
    const Duration computed = cpu_time() - cpu_;
    return limit_ + std::min(10 * computed, 9 * limit_) - (monotonic_now() - start_);
  }
  [[nodiscard]] bool over() const { return left() <= Duration::zero(); }

 private:
  Duration limit_;
  TimePoint start_ = monotonic_now();
  Duration cpu_ = cpu_time();
};

// Runs a last turn if anything is due now. The turn is needed because an exception that ends a
// coroutine leaves the loop one turn after the coroutine is done, and the exception must reach the
// test.
[[nodiscard]] inline bool settle(Loop& loop) {
  return loop.next_timeout() > Duration::zero() || loop.poll();
}

// Runs turns until `done()` holds, and then calls settle(). Returns false if Patience(limit) is
// over first, or if run_once() failed.
template <class Predicate>
[[nodiscard]] bool run_bounded(Loop& loop, Predicate done, Duration limit = kLimit) {
  const Patience patience(limit);
  while (!done()) {
    const Duration left = patience.left();
    if (left <= Duration::zero() || !loop.run_once(left)) return false;
  }
  return settle(loop);
}

// Like run_bounded(), but never waits, and gives up after ten turns. Use it for callbacks that are
// due already.
template <class Predicate>
[[nodiscard]] bool poll_until(Loop& loop, Predicate done) {
  for (int turn = 0; turn < 10 && !done(); ++turn) {
    if (!loop.poll()) return false;
  }
  return done() && settle(loop);
}

// Like run_bounded(), for a `done()` that also looks at something outside the loop, such as a
// peer's socket.
template <class Predicate>
[[nodiscard]] bool pump(Loop& loop, Predicate done, Duration limit = kLimit) {
  const Patience patience(limit);
  while (!done()) {
    if (patience.over() || !loop.run_once(std::chrono::milliseconds(1))) return false;
  }
  return settle(loop);
}

// Runs turns until `time` has passed. Returns the number of turns: a large number means that the
// loop spins. Turns that the process made only because it was stopped and continued do not count.
inline int run_for(Loop& loop, Duration time) {
  const Continued continued;
  const TimePoint end = monotonic_now() + time;
  int turns = 0;
  for (Duration left = time; left > Duration::zero(); left = end - monotonic_now()) {
    if (!loop.run_once(left)) break;
    ++turns;
  }
  return turns - continued.times();
}

// Counts the time that passes for a loop, in units of 10 ms. A pause in which the process did not
// run counts as one unit.
struct Ticks {
  explicit Ticks(Loop& loop)
      : timer(loop.every(std::chrono::milliseconds(10), [this] { ++count; })) {}
  int count = 0;
  Timer timer;
};

// Returns whether `attempt()` returns true at least once in 20 tries. Use it for time limits that
// only an idle machine can meet. A fault of the loop shows in every attempt.
template <class Attempt>
[[nodiscard]] bool once_undisturbed(Attempt attempt) {
  for (int i = 0; i < 20; ++i) {
    if (attempt()) return true;
  }
  return false;
}

// Calls loop.run() with a limit of kLimit. Returns false if run() failed, or if the limit had to
// end it.
[[nodiscard]] inline bool run_to_end(Loop& loop) {
  bool late = false;
  Timer limit = loop.after(kLimit, [&] {
    late = true;
    loop.stop();
  });
  limit.unref();
  return loop.run().has_value() && !late;
}

// Keeps the processor busy for `time`, as a callback that computes does.
inline void burn(Duration time) {
  const TimePoint end = monotonic_now() + time;
  while (monotonic_now() < end) {
  }
}

}  // namespace reactor
