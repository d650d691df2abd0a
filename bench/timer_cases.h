// SPDX-License-Identifier: MIT
// Every library runs this timer workload in the same way; timers.py puts the results side by side.
// A million timers, which exist from the beginning, are started, stopped, moved and fired:
//   insert  starts each, due in 1 to 1001 s
//   cancel  stops each, in the order in which they were started
//   rearm   10,000 are running, due in 60 s; each move restarts a random one
//   fire    all are due within 0.5 s; the loop runs until all have been called
// The figures are nanoseconds of CPU time per timer, because other programs on the machine disturb
// the CPU time least.
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench {

constexpr std::uint32_t kTimers = 1000000;
constexpr std::uint32_t kRunning = 10000;
constexpr std::uint32_t kMoves = 2000000;
constexpr std::uint32_t kMovesPerTurn = 1024;  // a loop reads the clock once per turn
constexpr std::uint32_t kFireWithinMs = 500;

// Returns the nanoseconds of CPU time that this thread has used.
inline double cpu_nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Returns the same numbers for every library. They are made before the measured time begins.
inline std::vector<std::uint32_t> random_numbers(std::uint32_t count, std::uint32_t below) {
  std::vector<std::uint32_t> numbers(count);
  std::uint64_t state = 88172645463325252U;
  for (std::uint32_t& number : numbers) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    number = static_cast<std::uint32_t>(state >> 32) % below;
  }
  return numbers;
}

inline void report(const char* name, double total, std::uint32_t count) {
  std::printf("%s %.2f\n", name, total / count);
  std::fflush(stdout);
}

// A Library has these members:
//   Library(count)      makes the timers
//   inside(function)    runs the function in the place where timers are usually started
//   next_turn()         lets the library read the clock
//   start(i, ms)        starts timer i, due in `ms` milliseconds
//   stop(i)             stops it
//   move(i, ms)         restarts a running timer
//   run_until(fired)    runs the loop until it has called that many timers
template <class Library>
void measure_starts(Library& library) {
  const std::vector<std::uint32_t> delays = random_numbers(kTimers, 1000000);
  library.inside([&] {
    double from = cpu_nanoseconds();
    for (std::uint32_t i = 0; i < kTimers; ++i) library.start(i, 1000 + delays[i]);
    report("insert", cpu_nanoseconds() - from, kTimers);
    from = cpu_nanoseconds();
    for (std::uint32_t i = 0; i < kTimers; ++i) library.stop(i);
    report("cancel", cpu_nanoseconds() - from, kTimers);
  });
}

template <class Library>
void measure_moves(Library& library) {
  const std::vector<std::uint32_t> which = random_numbers(kMoves, kRunning);
  library.inside([&] {
    for (std::uint32_t i = 0; i < kRunning; ++i) library.start(i, 60000);
  });
  double total = 0;
  for (std::uint32_t from = 0; from < kMoves; from += kMovesPerTurn) {
    const std::uint32_t to = std::min(from + kMovesPerTurn, kMoves);
    library.next_turn();
    library.inside([&] {
      const double begin = cpu_nanoseconds();
      for (std::uint32_t i = from; i < to; ++i) library.move(which[i], 60000);
      total += cpu_nanoseconds() - begin;
    });
  }
  report("rearm", total, kMoves);
  library.inside([&] {
    for (std::uint32_t i = 0; i < kRunning; ++i) library.stop(i);
  });
}

template <class Library>
void measure_firing(Library& library) {
  const std::vector<std::uint32_t> delays = random_numbers(kTimers, kFireWithinMs);
  library.next_turn();
  library.inside([&] {
    for (std::uint32_t i = 0; i < kTimers; ++i) library.start(i, delays[i]);
  });
  const double from = cpu_nanoseconds();
  library.run_until(kTimers);
  report("fire", cpu_nanoseconds() - from, kTimers);
}

// The main() of each program. `argv[1]`, if there is one, is the CPU to run on.
template <class Library>
int run_timer_cases(int argc, char** argv) {
  if (argc > 1) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(std::atoi(argv[1])), &cpus);
    ::sched_setaffinity(0, sizeof cpus, &cpus);
  }
  Library library(kTimers);
  measure_starts(library);
  measure_moves(library);
  measure_firing(library);
  return 0;
}

}  // namespace bench
