// SPDX-License-Identifier: MIT
// Running a loop for a test: always with an end.
#pragma once

#include <time.h>

#include <chrono>

#include "reactor/base/clock.h"
#include "reactor/loop/loop.h"
#include "tests/support/continued.h"

namespace reactor {

// How long anything in a test may take: a hundred times what it needs, as machines are shared.
inline constexpr Duration kLimit = std::chrono::seconds(10);

// What a loop runs at once, in a last turn: an exception that ended a coroutine leaves the loop a
// turn after the coroutine is done, and must reach the test.
[[nodiscard]] inline bool settle(Loop& loop) {
  return loop.next_timeout() > Duration::zero() || loop.poll();
}

// Turns until `done()` holds, and settles. False if `limit` passed first, or run_once() failed.
template <class Predicate>
[[nodiscard]] bool run_bounded(Loop& loop, Predicate done, Duration limit = kLimit) {
  const TimePoint end = monotonic_now() + limit;
  while (!done()) {
    const Duration left = end - monotonic_now();
    if (left <= Duration::zero() || !loop.run_once(left)) return false;
  }
  return settle(loop);
}

// The same without ever waiting: for what is due already.
template <class Predicate>
[[nodiscard]] bool poll_until(Loop& loop, Predicate done) {
  for (int turn = 0; turn < 10 && !done(); ++turn) {
    if (!loop.poll()) return false;
  }
  return done() && settle(loop);
}

// As run_bounded(), for a `done()` that also looks at something outside the loop, such as a peer's
// socket.
template <class Predicate>
[[nodiscard]] bool pump(Loop& loop, Predicate done, Duration limit = kLimit) {
  const TimePoint end = monotonic_now() + limit;
  while (!done()) {
    if (monotonic_now() > end || !loop.run_once(std::chrono::milliseconds(1))) return false;
  }
  return settle(loop);
}

// Turns until `time` has passed. Gives the number of turns, by which spinning shows. A turn that
// only a stop of the process caused is not counted.
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

// The time that a loop sees pass, in 10 ms. A time in which the process did not run counts once.
struct Ticks {
  explicit Ticks(Loop& loop)
      : timer(loop.every(std::chrono::milliseconds(10), [this] { ++count; })) {}
  int count = 0;
  Timer timer;
};

// Whether `attempt()` gives true once in 20 times. It is for times that only a machine that nobody
// else uses keeps to; a fault of the loop shows in each attempt.
template <class Attempt>
[[nodiscard]] bool once_undisturbed(Attempt attempt) {
  for (int i = 0; i < 20; ++i) {
    if (attempt()) return true;
  }
  return false;
}

// loop.run() that stops after kLimit. False where it failed or the limit had to end it.
[[nodiscard]] inline bool run_to_end(Loop& loop) {
  bool late = false;
  Timer limit = loop.after(kLimit, [&] {
    late = true;
    loop.stop();
  });
  limit.unref();
  return loop.run().has_value() && !late;
}

// Holds the processor for `time`, as a callback that computes does.
inline void burn(Duration time) {
  const TimePoint end = monotonic_now() + time;
  while (monotonic_now() < end) {
  }
}

// Processor time that this process has used.
[[nodiscard]] inline Duration cpu_time() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + Duration(used.tv_nsec);
}

}  // namespace reactor
