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

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>

#include "reactor/base/clock.h"
#include "tests/adversity/programs/case.h"

namespace reactor::programs {
namespace {

constexpr std::uint64_t kFixedSeeds = 20;  // tried each time, on each backend
constexpr int kDefaultSeconds = 20;

struct Options {
  std::optional<std::uint64_t> seed;
  std::size_t steps = kSteps;
  std::vector<Backend> backends = available_backends();
  std::optional<std::vector<std::size_t>> keep;
};

// In memory that all processes share.
struct Progress {
  struct Running {
    std::uint64_t seed;
    Backend backend;
    pid_t process;
  };
  std::atomic<std::uint64_t> tried;
  std::array<Running, kProcesses> running;
};

// Takes the next program until `end`: the fixed seeds on each backend, then others from `seed` on.
void work(Progress& progress, Progress::Running& mine, std::span<const Backend> backends,
          std::uint64_t seed, TimePoint end) {
  for (;;) {
    const std::uint64_t next = progress.tried.fetch_add(1);
    const std::uint64_t round = next / backends.size();
    if (round >= kFixedSeeds && monotonic_now() >= end) return;
    mine.seed = round < kFixedSeeds ? round + 1 : seed + next;
    mine.backend = backends[next % backends.size()];
    run_here(whole(mine.backend, mine.seed));
  }
}

// Waits for all processes, or for the first that fails, which it returns; the others end with it.
Progress::Running* first_to_fail(Progress& progress) {
  Progress::Running* failed = nullptr;
  for (std::size_t left = kProcesses; left > 0; --left) {
    int status = 0;
    const pid_t ended = ::wait(&status);
    if (status == 0 || failed != nullptr) continue;
    for (Progress::Running& each : progress.running) {
      if (each.process == ended) {
        failed = &each;
      } else {
        ::kill(each.process, SIGKILL);
      }
    }
  }
  return failed;
}

Progress& shared_progress() {
  void* const memory =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return *static_cast<Progress*>(memory);
}

int run_many(const Options& options) {
  Progress& progress = shared_progress();
  const char* const wish = std::getenv("REACTOR_ADVERSITY_SECONDS");
  const int seconds = wish == nullptr ? kDefaultSeconds : std::atoi(wish);
  const TimePoint begin = monotonic_now();
  const auto seed = static_cast<std::uint64_t>(begin.time_since_epoch().count());
  std::printf("new programs from seed %llu on\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  for (Progress::Running& each : progress.running) {
    if (const pid_t child = ::fork(); child != 0) {
      each.process = child;
      continue;
    }
    work(progress, each, options.backends, seed, begin + std::chrono::seconds(seconds));
    std::_Exit(0);
  }
  if (const Progress::Running* const failed = first_to_fail(progress)) {
    report(whole(failed->backend, failed->seed));
    return 1;
  }
  std::printf("%llu programs of %zu operations\n",
              static_cast<unsigned long long>(progress.tried - kProcesses), kSteps);
  return 0;
}

int run_one(const Options& options) {
  for (const Backend backend : options.backends) {
    Case one = whole(backend, *options.seed, options.steps);
    if (options.keep) one.kept = *options.keep;
    print(program_of(one));
    if (!fails(one)) continue;
    if (!options.keep) report(one);
    return 1;
  }
  return 0;
}

// ---- The command line ----

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

Options parse(std::span<char* const> arguments) {
  Options options;
  for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const std::string_view name = arguments[i], value = arguments[i + 1];
    if (name == "--seed") options.seed = number(value);
    if (name == "--steps") options.steps = number(value);
    if (name == "--keep") options.keep = list(value);
    if (name != "--backend") continue;
    std::erase_if(options.backends, [=](Backend each) { return to_string(each) != value; });
  }
  return options;
}

}  // namespace
}  // namespace reactor::programs

int main(int argc, char** argv) {
  using namespace reactor::programs;
  const auto options = parse({argv, static_cast<std::size_t>(argc)});
  return options.seed ? run_one(options) : run_many(options);
}
