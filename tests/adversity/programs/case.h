// SPDX-License-Identifier: MIT
// A case: a program on a backend, run in a process of its own; and what is done about one that
// fails.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/adversity/programs/program.h"
#include "tests/support/backends.h"

namespace reactor::programs {

inline constexpr std::size_t kSteps = 80;
inline constexpr std::size_t kProcesses = 4;  // that run at the same time: most of them wait

// A program by its seed, and which of its operations are left in.
struct Case {
  Backend backend;
  std::uint64_t seed;
  std::size_t steps;
  std::vector<std::size_t> kept;
};

[[nodiscard]] Case whole(Backend backend, std::uint64_t seed, std::size_t steps = kSteps);
[[nodiscard]] Program program_of(const Case& one);
void print(const Program& program);

// Runs it in this process, which ends with status 1 if a rule is broken.
void run_here(const Case& one);
// Runs it in a process of its own, which says what is broken.
[[nodiscard]] bool fails(const Case& one);
// Prints how to repeat it, and the shortest program that still fails.
void report(const Case& failing);

}  // namespace reactor::programs
