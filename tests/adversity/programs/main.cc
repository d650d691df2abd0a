// SPDX-License-Identifier: MIT
// Random programs over the whole library, on every backend; what has to hold in each stands in
// rules.h. One that fails is made as short as it can be while it still fails.
//
// usage: adversity_programs [--seed S] [--steps N] [--backend NAME] [--keep I,J,...]
//
// REACTOR_ADVERSITY_SECONDS: how long new programs are tried.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/adversity/programs/world.h"
#include "tests/support/backends.h"

namespace reactor::programs {
namespace {

constexpr std::size_t kSteps = 80;
constexpr std::uint64_t kFixedSeeds = 20;  // tried each time, on each backend
constexpr unsigned kAlarm = 60;            // seconds that one program may take
constexpr int kDefaultSeconds = 20;

struct Options {
  std::optional<std::uint64_t> seed;
  std::size_t steps = kSteps;
  std::string_view backend;
  std::optional<std::vector<std::size_t>> keep;
};

bool g_silent = false;  // while a program is made shorter

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::size_t> list(std::string_view text) {
  std::vector<std::size_t> numbers;
  while (!text.empty()) {
    numbers.push_back(number(text));
    const std::size_t comma = text.find(',');
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  }
  return numbers;
}

// ---- One program ----

// A program by its seed, and which of its operations are left in.
struct Case {
  Backend backend;
  std::uint64_t seed;
  std::size_t steps = kSteps;
  std::vector<std::size_t> kept;
};

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

void run_here(const Case& one) {
  ::alarm(kAlarm);
  const auto before = FdGuard::open_descriptors();
  const auto end = one.seed % 4 == 0 ? World::End::loop_first : World::End::actors_first;
  World(one.backend).run(program_of(one), end);
  require(FdGuard::open_descriptors() == before, Rule::descriptors);
  ::alarm(0);
}

// Whether it fails, in a process of its own.
bool fails(const Case& one, bool silent) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    g_silent = silent;
    if (silent && std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(2);
    run_here(one);
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status != 0;
}

// ---- Making one shorter ----

// Leaves out ranges as long as it still fails: halves, quarters, and at last single operations.
Case shorter(Case failing) {
  for (std::size_t length = failing.kept.size() / 2; length > 0; length /= 2) {
    for (std::size_t at = 0; at < failing.kept.size();) {
      Case candidate = failing;
      const auto from = candidate.kept.begin() + static_cast<std::ptrdiff_t>(at);
      const std::size_t count = std::min(length, candidate.kept.size() - at);
      candidate.kept.erase(from, from + static_cast<std::ptrdiff_t>(count));
      if (fails(candidate, true)) {
        failing = std::move(candidate);
      } else {
        at += length;
      }
    }
  }
  return failing;
}

std::string command(const Case& one, bool all) {
  std::string text = "adversity_programs --seed " + std::to_string(one.seed) + " --steps " +
                     std::to_string(one.steps) + " --backend " +
                     std::string(to_string(one.backend));
  if (all) return text;
  text += " --keep ";
  for (const std::size_t index : one.kept) text += std::to_string(index) + ",";
  text.pop_back();
  return text;
}

void print(const Program& program) {
  for (const Operation& operation : program) {
    const std::string name(name_of(operation.action));
    std::printf("  %s of %u, amount %u%s\n", name.c_str(), operation.actor, operation.amount,
                operation.moment == Moment::now ? "" : ", in its next callback");
  }
}

void report(const Case& failing) {
  std::printf("replay: %s\n", command(failing, true).c_str());
  std::fflush(stdout);
  const Case least = shorter(failing);
  std::printf("made shorter:\n");
  print(program_of(least));
  std::printf("replay: %s\n", command(least, least.kept.size() == least.steps).c_str());
  static_cast<void>(fails(least, false));
}

// ---- Many ----

// In memory that the children share with us.
struct Progress {
  std::uint64_t seed, tried;
};

// Tries `fixed` seeds from 1 on, then others from `seed` on until `end`. False: one failed.
bool try_many(Backend backend, std::uint64_t seed, TimePoint end, Progress& progress) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    for (std::uint64_t i = 0; i < kFixedSeeds || monotonic_now() < end; ++i, ++progress.tried) {
      progress.seed = i < kFixedSeeds ? i + 1 : seed + i;
      run_here(whole(backend, progress.seed, kSteps));
    }
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

int run_many(const Options& options) {
  auto* const progress = static_cast<Progress*>(
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const char* const wish = std::getenv("REACTOR_ADVERSITY_SECONDS");
  const int seconds = wish == nullptr ? kDefaultSeconds : std::atoi(wish);
  const auto seed = static_cast<std::uint64_t>(monotonic_now().time_since_epoch().count());
  const std::vector<Backend> backends = available_backends();
  for (const Backend backend : backends) {
    const Duration share = std::chrono::seconds(seconds) / static_cast<int>(backends.size());
    if (!options.backend.empty() && options.backend != to_string(backend)) continue;
    std::printf("%s: new programs from seed %llu on\n", std::string(to_string(backend)).c_str(),
                static_cast<unsigned long long>(seed + kFixedSeeds));
    if (try_many(backend, seed, monotonic_now() + share, *progress)) continue;
    report(whole(backend, progress->seed, kSteps));
    return 1;
  }
  std::printf("%llu programs of %zu operations\n", static_cast<unsigned long long>(progress->tried),
              kSteps);
  return 0;
}

int run_one(const Options& options) {
  for (const Backend backend : available_backends()) {
    if (!options.backend.empty() && options.backend != to_string(backend)) continue;
    Case one = whole(backend, *options.seed, options.steps);
    if (options.keep) one.kept = *options.keep;
    print(program_of(one));
    if (fails(one, false)) return 1;
  }
  return 0;
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = arguments[i], value = arguments[i + 1];
    if (name == "--seed") options.seed = number(value);
    if (name == "--steps") options.steps = number(value);
    if (name == "--backend") options.backend = value;
    if (name == "--keep") options.keep = list(value);
  }
  return options;
}

}  // namespace

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

int main(int argc, char** argv) {
  const auto options = reactor::programs::parse(argc, argv);
  return options.seed ? reactor::programs::run_one(options) : reactor::programs::run_many(options);
}
