// SPDX-License-Identifier: MIT
#include "tests/adversity/programs/case.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "tests/adversity/programs/world.h"

namespace reactor::programs {
namespace {

constexpr unsigned kAlarm = 60;                              // seconds that one program may take
constexpr Duration kShortening = std::chrono::seconds(12);   // the longest that this takes
constexpr Duration kPatience = std::chrono::seconds(5);      // see World::run()
constexpr Duration kHaste = std::chrono::milliseconds(600);  // while it is made shorter

bool g_silent = false;
Duration g_patience = kPatience;

pid_t begin(const Case& one, bool silent) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (silent) {
    g_silent = true;
    g_patience = kHaste;
    if (std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(2);
  }
  run_here(one);
  std::_Exit(0);
}

bool ends_badly(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status != 0;
}

// ---- Making one shorter ----

Case without(const Case& one, std::size_t at, std::size_t count) {
  Case rest = one;
  const auto from = rest.kept.begin() + static_cast<std::ptrdiff_t>(at);
  count = std::min(count, rest.kept.size() - at);
  rest.kept.erase(from, from + static_cast<std::ptrdiff_t>(count));
  return rest;
}

// The first of the next kProcesses places at which `length` operations can be left out.
std::optional<std::size_t> can_go(const Case& failing, std::size_t at, std::size_t length) {
  std::vector<pid_t> children;
  for (std::size_t from = at; from < failing.kept.size(); from += length) {
    children.push_back(begin(without(failing, from, length), true));
    if (children.size() == kProcesses) break;
  }
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (ends_badly(children[i]) && !first) first = at + i * length;
  }
  return first;
}

// Leaves out ranges as long as it still fails: halves, quarters, and at last single operations.
Case shorter(Case failing) {
  const TimePoint end = monotonic_now() + kShortening;
  for (std::size_t length = failing.kept.size() / 2; length > 0; length /= 2) {
    for (std::size_t at = 0; at < failing.kept.size() && monotonic_now() < end;) {
      if (const std::optional<std::size_t> place = can_go(failing, at, length)) {
        failing = without(failing, *place, length);
        at = *place;
      } else {
        at += length * kProcesses;
      }
    }
  }
  return failing;
}

std::string command(const Case& one) {
  std::string text = "adversity_programs --seed " + std::to_string(one.seed) + " --steps " +
                     std::to_string(one.steps) + " --backend " +
                     std::string(to_string(one.backend));
  if (one.kept.size() == one.steps) return text;
  text += " --keep ";
  for (const std::size_t index : one.kept) text += std::to_string(index) + ",";
  text.pop_back();
  return text;
}

}  // namespace

Case whole(Backend backend, std::uint64_t seed, std::size_t steps) {
  Case all{backend, seed, steps, {}};
  for (std::size_t i = 0; i < steps; ++i) all.kept.push_back(i);
  return all;
}

Program program_of(const Case& one) {
  const Program all = make_program(one.seed, one.steps);
  Program kept;
  for (const std::size_t index : one.kept) {
    if (index < all.size()) kept.push_back(all[index]);
  }
  return kept;
}

void print(const Program& program) {
  constexpr std::array moments = {"", ", in its next callback", ", in anybody's next callback"};
  for (const Operation& operation : program) {
    const std::string name(name_of(operation.action));
    std::printf("  %s of %u, amount %u%s\n", name.c_str(), operation.actor, operation.amount,
                moments[static_cast<unsigned>(operation.moment)]);
  }
}

void run_here(const Case& one) {
  ::alarm(kAlarm);
  const auto before = FdGuard::open_descriptors();
  const auto end = one.seed % 4 == 0 ? World::End::loop_first : World::End::actors_first;
  World(one.backend, g_patience).run(program_of(one), end);
  require(FdGuard::open_descriptors() == before, Rule::descriptors);
  ::alarm(0);
}

bool fails(const Case& one) { return ends_badly(begin(one, false)); }

// In haste another one may seem to fail: then nothing was gained.
void report(const Case& failing) {
  std::printf("replay: %s\n", command(failing).c_str());
  const Case least = shorter(failing);
  if (!fails(least)) return;
  std::printf("made shorter:\n");
  print(program_of(least));
  std::printf("repeats only that: %s\n", command(least).c_str());
}

void broken(Rule rule, std::string_view detail) noexcept {
  if (g_silent) std::_Exit(1);
  for (const RuleText& each : kRules) {
    if (each.rule != rule) continue;
    std::printf("broken: %.*s (%.*s)\n", static_cast<int>(each.text.size()), each.text.data(),
                static_cast<int>(detail.size()), detail.data());
  }
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace reactor::programs
