// SPDX-License-Identifier: MIT
// Runs each scenario on every backend once for each allocation in it. In each run that allocation
// fails, alone or with all that follow. table.h says how a run may end.
//
// usage: adversity_allocations [--scenario NAME] [--backend NAME] [--mode one|all_from] [--n N]
//
// Each sweep runs in a child, so that a sweep that aborts does not hide the others.
#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/adversity/allocations/scene.h"
#include "tests/adversity/allocations/table.h"
#include "tests/support/backends.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace reactor::allocations {
namespace {

struct Cell {
  const Scenario* scenario;
  Backend backend;
  Mode mode;
  std::uint64_t n = 1;       // number of the allocation that fails
  std::uint64_t stride = 1;  // distance to the next one that fails
};

// The state of a sweep, in memory that its child shares with us.
struct Progress {
  std::uint64_t n;
  bool over;
};

// The results of one of the processes that share the work, in shared memory, too.
struct Share {
  Progress progress;
  std::uint64_t tried;
  int wrong;
};

// The machine has two processors, and scenarios wait half of their time.
constexpr std::size_t kProcesses = 4;

const char* name_of(Mode mode) { return mode == Mode::one ? "one" : "all_from"; }

void print_failure(const Cell& cell, std::string_view what) {
  const std::string backend(to_string(cell.backend));
  const std::string scenario(cell.scenario->name);
  std::printf("%s on %s, allocation %llu (%s): %.*s\n", scenario.c_str(), backend.c_str(),
              static_cast<unsigned long long>(cell.n), name_of(cell.mode),
              static_cast<int>(what.size()), what.data());
  std::printf("replay: adversity_allocations --scenario %s --backend %s --mode %s --n %llu\n",
              scenario.c_str(), backend.c_str(), name_of(cell.mode),
              static_cast<unsigned long long>(cell.n));
  std::fflush(stdout);
}

int descriptors() {
  DIR* const directory = ::opendir("/dev/fd");
  int count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

const char* text_of(unsigned end) {
  if (end == kPasses) return "it passed, as if nothing had failed";
  if (end == kThrows) return "std::bad_alloc left a call";
  return end == kLeavesRun ? "std::bad_alloc left run()" : "an error was told";
}

End run_scenario(const Scenario& scenario, Loop& loop) {
  try {
    Scene scene(loop);
    scenario.run(scene);
    return kPasses;
  } catch (const std::bad_alloc&) {
    return kThrows;
  } catch (const LeftRun&) {
    return kLeavesRun;
  } catch (const Told&) {
    return kTells;
  } catch (const std::system_error&) {  // from Loop's constructor
    return kTells;
  }
}

// Checks that nothing keeps the loop any more: run() returns, and no handle is left.
void expect_idle(Loop& loop) {
  if (!run_to_end(loop)) throw Wrong("run() does not end though nothing is left");
  Scene::check(loop.keeping() == 0, "something still keeps run() going");
}

// Runs the scenario once. Returns whether the allocation `cell.n` was reached. Throws Wrong.
bool attempt(const Cell& cell) {
  Loop loop({.backend = cell.backend, .slow_callback = Duration::zero()});
  Faults::begin(cell.n, cell.mode);
  const End end = run_scenario(*cell.scenario, loop);
  Faults::end();
  if (!Faults::fired()) {
    Scene::check(end == kPasses, "it does not pass without any failure");
    return false;
  }
  if ((cell.scenario->ends & end) == 0) {
    throw Wrong(std::string("an end that the table does not allow: ") + text_of(end));
  }
  Scene::check(run_scenario(*cell.scenario, loop) == kPasses,
               "it does not pass on this loop later");
  expect_idle(loop);
  return true;
}

// Calls attempt(), and compares the numbers of descriptors and of live blocks before and after.
bool checked_attempt(const Cell& cell) {
  const int open = descriptors();
  const std::int64_t live = Faults::live();
  bool reached = true;
  try {
    reached = attempt(cell);
  } catch (const Wrong& wrong) {
    Faults::end();
    const Unfailing unfailing;
    print_failure(cell, wrong.what());
    std::_Exit(1);
  }
  if (descriptors() != open) {
    print_failure(cell, "descriptors were leaked or lost");
    std::_Exit(1);
  }
  if (Faults::live() != live) {
    print_failure(cell, "memory was leaked");
#if defined(__SANITIZE_ADDRESS__)
    __lsan_do_recoverable_leak_check();
#endif
    std::_Exit(1);
  }
  return reached;
}

[[noreturn]] void report_terminate() {
  Faults::end();
  std::fprintf(stderr, "std::terminate() at:\n");
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_print_stack_trace();
#endif
  std::abort();
}

// Runs in a child. Ends it at the first failure; `progress` holds the allocation of that failure.
[[noreturn]] void sweep_in_child(Cell cell, bool only, Progress& progress) {
  std::set_terminate(&report_terminate);
  // The first run, without faults, makes the objects that a program makes once and keeps.
  Cell clean = cell;
  clean.n = ~std::uint64_t{0};
  progress.n = 0;
  {
    Loop loop({.backend = cell.backend, .slow_callback = Duration::zero()});
    static_cast<void>(run_scenario(*cell.scenario, loop));
  }
  static_cast<void>(checked_attempt(clean));
  if (only) Faults::show_stacks();
  bool reached = true;
  for (; reached; cell.n += cell.stride) {
    progress.n = cell.n;
    reached = checked_attempt(cell);
    if (only) break;
  }
  progress.over = true;
#if defined(__SANITIZE_ADDRESS__)
  if (__lsan_do_recoverable_leak_check() != 0) {
    print_failure(cell, "LeakSanitizer found something");
    std::_Exit(1);
  }
#endif
  std::_Exit(0);
}

// Sweeps all allocations. If one ends the child, a new child goes on behind it. Returns the number
// of failures.
int sweep(Cell cell, bool only, Progress& progress, std::uint64_t& tried) {
  int wrong = 0;
  for (;;) {
    progress = {cell.n, false};
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) sweep_in_child(cell, only, progress);
    int status = 0;
    ::waitpid(child, &status, 0);
    tried += (progress.n - cell.n) / cell.stride + 1;
    if (status == 0) return wrong;
    ++wrong;
    Cell failed = cell;
    failed.n = progress.n;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
      print_failure(failed, "the process was ended");
    }
    if (progress.over || only || progress.n == 0 || wrong >= 4) return wrong;
    cell.n = progress.n + cell.stride;
  }
}

// The model of kqueue(2) allocates memory where no kernel does.
bool is_model(Backend backend) {
  const std::vector<Backend> all = available_backends();
  const bool epoll = std::find(all.begin(), all.end(), Backend::epoll) != all.end();
  return backend == Backend::kqueue && epoll && !kOnLibkqueue;
}

// The short form skips some allocations, because the backends and modes differ little here.
std::uint64_t stride_of(Backend backend, Mode mode) {
  if (std::getenv("REACTOR_ADVERSITY_SECONDS") != nullptr) return 1;
  if (backend != available_backends().front()) return 11;
  return mode == Mode::one ? 1 : 5;
}

struct Options {
  std::string_view scenario, backend, mode;
  std::uint64_t n = 0;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = arguments[i];
    if (name == "--scenario") options.scenario = arguments[i + 1];
    if (name == "--backend") options.backend = arguments[i + 1];
    if (name == "--mode") options.mode = arguments[i + 1];
    if (name == "--n") options.n = std::strtoull(arguments[i + 1], nullptr, 10);
  }
  return options;
}

bool chosen(std::string_view wish, std::string_view name) { return wish.empty() || wish == name; }

void sweep_scenario(const Scenario& scenario, const Options& options, Share& share) {
  for (const Backend backend : available_backends()) {
    if (is_model(backend) || !chosen(options.backend, to_string(backend))) continue;
    for (const Mode mode : {Mode::one, Mode::all_from}) {
      if (!chosen(options.mode, name_of(mode))) continue;
      const Cell cell{&scenario, backend, mode, std::max<std::uint64_t>(options.n, 1),
                      stride_of(backend, mode)};
      share.wrong += sweep(cell, options.n > 0, share.progress, share.tried);
    }
  }
}

// Runs in a child: every kProcesses-th of the chosen scenarios, starting with `first`.
[[noreturn]] void run_share(const Options& options, std::size_t first, Share& share) {
  std::size_t index = 0;
  for (const Scenario& scenario : kTable) {
    if (!chosen(options.scenario, scenario.name)) continue;
    if (index++ % kProcesses == first) sweep_scenario(scenario, options, share);
  }
  std::fflush(stdout);
  std::_Exit(0);
}

int run_all(const Options& options) {
  auto* const shares =
      static_cast<Share*>(::mmap(nullptr, sizeof(Share) * kProcesses, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < kProcesses; ++i) {
    if (::fork() == 0) run_share(options, i, shares[i]);
  }
  bool whole = true;
  for (int status = 0; ::wait(&status) > 0;) whole = whole && status == 0;
  int wrong = 0;
  std::uint64_t tried = 0;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    wrong += shares[i].wrong;
    tried += shares[i].tried;
  }
  std::printf("%llu allocations failed one by one, %d were wrong\n",
              static_cast<unsigned long long>(tried), wrong);
  return whole && wrong == 0 && tried > 0 ? 0 : 1;
}

}  // namespace
}  // namespace reactor::allocations

int main(int argc, char** argv) {
  return reactor::allocations::run_all(reactor::allocations::parse(argc, argv));
}
