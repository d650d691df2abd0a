// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/process_calls.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace reactor::prefork {

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

pid_t ProcessCalls::fork(WorkerControl&) { return ::fork(); }

void ProcessCalls::kill(pid_t pid, int signal_number) noexcept { ::kill(pid, signal_number); }

pid_t ProcessCalls::wait(pid_t pid, int& status) noexcept {
  return ::waitpid(pid, &status, WNOHANG);
}

}  // namespace reactor::prefork
