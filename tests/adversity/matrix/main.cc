// SPDX-License-Identifier: MIT
// Tries each callback with each action, over each transport, at once and later, on each backend.
//
// usage: adversity_matrix [CALLBACK [ACTION [TRANSPORT [WHEN [BACKEND]]]]]
//        adversity_matrix --list | --left-out
// Each argument is a pattern as in table.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "reactor/base/log.h"
#include "tests/adversity/matrix/catalogue.h"
#include "tests/adversity/matrix/connection.h"
#include "tests/adversity/matrix/runner.h"

namespace reactor::adversity {
namespace {

using Clock = std::chrono::steady_clock;

// The time to go on, from the environment. 0 means one round in the order of the lists.
std::chrono::seconds wanted_time() {
  const char* const text = std::getenv("REACTOR_ADVERSITY_SECONDS");
  return std::chrono::seconds(text == nullptr ? 0 : std::atoi(text));
}

// Keeps every thirteenth cell, for the short form. 93 of 100 pairs of a callback and an action are
// still tried, with varying transports, moments and backends, because 13 divides none of their
// numbers.
void thin(std::vector<Cell>& cells) {
  std::vector<Cell> some;
  for (std::size_t i = 0; i < cells.size(); i += 13) some.push_back(cells[i]);
  cells.swap(some);
}

int run(std::vector<Cell> chosen) {
  const Clock::time_point begin = Clock::now();
  std::mt19937 random{std::random_device()()};
  int failed = play(chosen);
  int rounds = 1;
  for (; failed == 0 && Clock::now() - begin < wanted_time(); ++rounds) {
    // The order is random, because cells must not depend on each other.
    std::shuffle(chosen.begin(), chosen.end(), random);
    failed = play(chosen);
  }
  const auto spent = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin);
  std::printf("matrix: %zu cells, %d rounds, %d failed, %d s\n", chosen.size(), rounds, failed,
              static_cast<int>(spent.count()));
  return failed == 0 ? 0 : 1;
}

int main_with(std::span<const std::string_view> arguments) {
  if (!arguments.empty() && arguments[0] == "--left-out") {
    print_left_out();
    return 0;
  }
  const bool lists = !arguments.empty() && arguments[0] == "--list";
  std::vector<Cell> chosen = cells(lists ? arguments.subspan(1) : arguments);
  if (chosen.empty()) {
    std::fputs("matrix: no such cell\n", stderr);
    return 2;
  }
  static_cast<void>(big_file());
  if (arguments.empty() && wanted_time().count() == 0) thin(chosen);
  if (!lists) return run(std::move(chosen));
  for (const Cell& cell : chosen) std::puts(cell.arguments().c_str());
  return 0;
}

}  // namespace
}  // namespace reactor::adversity

// Without these options each cell would take fresh memory from the kernel, which has to clear it,
// and give it back.
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=2:malloc_context_size=12:allocator_release_to_os_interval_ms=-1";
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  reactor::set_log_level(reactor::LogLevel::off);
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() > 6) {
    std::fputs("usage: adversity_matrix [CALLBACK [ACTION [TRANSPORT [WHEN [BACKEND]]]]]\n",
               stderr);
    return 2;
  }
  return reactor::adversity::main_with(arguments);
}
