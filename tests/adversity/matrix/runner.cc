// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/runner.h"

#include <gtest/gtest-spi.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/adversity/matrix/catalogue.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/fd_guard.h"
#include "tests/support/sanitizer.h"

extern "C" [[gnu::weak]] int __lsan_do_recoverable_leak_check();

namespace reactor::adversity {
namespace {

// The machine has two processors, and a cell waits half of its time.
constexpr std::size_t kProcesses = 4;
constexpr unsigned kSecondsForACell = 60;
constexpr std::size_t kCellsBetweenLeakChecks = 500;
constexpr int kMostFailures = 50;  // more failures would show nothing new

// The state of one process, in memory that it shares with its parent.
struct Progress {
  std::size_t at = 0;  // index of the cell that it plays
  int failed = 0;
};

void print_failure(const Cell& cell, const std::string& what) {
  const Expected expected = expected_of(cell);
  std::printf("FAILED: %s (expected: %s)\n%sreplay: adversity_matrix %s\n",
              cell.arguments().c_str(), std::string(to_string(expected.end)).c_str(), what.c_str(),
              cell.arguments().c_str());
  std::fflush(stdout);
}

// Plays a cell. Returns a description of its failures, empty if there are none.
std::string play_one(const Cell& cell) {
  ::testing::TestPartResultArray results;
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
    const FdGuard descriptors;
    Scene scene(cell, kind_of(cell));
    scene.play();
  }
  std::string what;
  for (int i = 0; i < results.size(); ++i) {
    const ::testing::TestPartResult& result = results.GetTestPartResult(i);
    what.append("  ").append(result.summary()).append("\n");
  }
  return what;
}

bool leaks() { return __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0; }

// Plays every kProcesses-th cell, starting with `progress.at`.
void play_some(const std::vector<Cell>& cells, Progress& progress) {
  std::size_t since_check = 0;
  for (; progress.at < cells.size() && progress.failed < kMostFailures; progress.at += kProcesses) {
    ::alarm(kSecondsForACell);
    const std::string what = play_one(cells[progress.at]);
    ::alarm(0);
    if (!what.empty()) {
      ++progress.failed;
      print_failure(cells[progress.at], what);
    }
    if (++since_check % kCellsBetweenLeakChecks == 0 && leaks()) {
      ++progress.failed;
      print_failure(cells[progress.at], "  memory leaked in the last 500 cells of this process\n");
    }
  }
}

pid_t start(const std::vector<Cell>& cells, Progress& progress) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  play_some(cells, progress);
  std::exit(0);  // checks for leaks
}

// Explains how the process that played a cell ended; empty if it ended well.
std::string why(int status) {
  if (WIFSIGNALED(status)) {
    return WTERMSIG(status) == SIGALRM
               ? "  it hangs\n"
               : "  killed by signal " + std::to_string(WTERMSIG(status)) + "\n";
  }
  return WEXITSTATUS(status) == 0
             ? ""
             : "  exit code " + std::to_string(WEXITSTATUS(status)) + ": see above\n";
}

}  // namespace

int play(const std::vector<Cell>& cells) {
  void* const memory = ::mmap(nullptr, sizeof(Progress) * kProcesses, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* const progress = static_cast<Progress*>(memory);
  std::array<pid_t, kProcesses> pids{};
  for (std::size_t i = 0; i < kProcesses; ++i) {
    progress[i].at = i;
    pids[i] = start(cells, progress[i]);
  }
  int failed = 0;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    int status = 0;
    while (::waitpid(pids[i], &status, 0) == pids[i] && !why(status).empty()) {
      ++failed;
      if (progress[i].at >= cells.size()) break;  // the process leaked memory and has reported that
      print_failure(cells[progress[i].at], why(status));
      progress[i].at += kProcesses;
      if (failed >= kMostFailures) break;
      pids[i] = start(cells, progress[i]);
    }
    failed += progress[i].failed;
  }
  ::munmap(memory, sizeof(Progress) * kProcesses);
  return failed;
}

}  // namespace reactor::adversity
