// SPDX-License-Identifier: MIT
// Between fork() and exec() the child calls only what signal-safety(7) allows: other threads of the
// parent may have held any lock.
#include "reactor/process/internal/unix_spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "reactor/base/error.h"
#include "reactor/loop/internal/signals.h"
#include "reactor/process/internal/unix_pipe.h"

namespace reactor {
namespace {

constexpr int kExitOfFailure = 127;  // like the shell's; nobody sees it

// The message that the child writes to its parent if it fails.
struct Failure {
  enum class Step : int { set_up, directory, exec };
  Step step;
  int number;
};

// Sets close-on-exec on every descriptor from `first` upwards, in one call (close_range(2), Linux
// 5.11). Returns false if the kernel has no such call.
bool close_range_on_exec([[maybe_unused]] unsigned first) noexcept {
#if defined(__linux__) && defined(SYS_close_range)
  constexpr unsigned kOnExec = 1 << 2;  // CLOSE_RANGE_CLOEXEC
  return ::syscall(SYS_close_range, first, ~0U, kOnExec) == 0;
#else
  return false;
#endif
}

// Returns the highest open descriptor, for kernels without close_range(2). A descriptor that
// another thread opens after this must have O_CLOEXEC, or the child may get it.
int highest_descriptor() {
  DIR* const folder = ::opendir("/dev/fd");
  if (folder == nullptr) return static_cast<int>(std::min(::sysconf(_SC_OPEN_MAX), 1L << 20));
  int highest = kFirstOther;
  while (const dirent* const entry = ::readdir(folder)) {
    highest = std::max(highest, std::atoi(entry->d_name));
  }
  ::closedir(folder);
  return highest;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

class Child {
 public:
  explicit Child(const SpawnPlan& plan)
      : plan_(plan),
        arguments_(pointers_to(plan.arguments)),
        environment_(pointers_to(plan.environment)),
        highest_(close_range_on_exec(~0U) ? -1 : highest_descriptor()) {}

  [[noreturn]] void run(int status) const noexcept {
    const Failure failure = try_to_run();
    [[maybe_unused]] const auto written = ::write(status, &failure, sizeof(failure));
    ::_exit(kExitOfFailure);
  }

 private:
  Failure try_to_run() const noexcept {
    if (!enter_group() || !set_streams()) return {Failure::Step::set_up, errno};
    if (!plan_.directory.empty() && ::chdir(plan_.directory.c_str()) != 0) {
      return {Failure::Step::directory, errno};
    }
    if (highest_ < 0) {
      close_range_on_exec(kFirstOther);
    } else {
      for (int fd = kFirstOther; fd <= highest_; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    reset_signals();
    return {Failure::Step::exec, exec()};
  }

  bool enter_group() const noexcept {
    if (plan_.group == SpawnPlan::Group::own) return ::setpgid(0, 0) == 0;
    return plan_.group == SpawnPlan::Group::same || ::setsid() >= 0;
  }

  bool set_streams() const noexcept {
    for (int target = 0; target < kFirstOther; ++target) {
      const int source = plan_.streams[static_cast<std::size_t>(target)];
      if (source < 0) {
        ::fcntl(target, F_SETFD, 0);
      } else if (::dup2(source, target) < 0) {
        return false;
      }
    }
    return true;
  }

  // Tries the files in order, like execvp(3). The search continues after a file that may not be
  // run, a missing folder, and a folder on a file system that is gone.
  int exec() const noexcept {
    int number = ENOENT;
    for (const std::string& file : plan_.files) {
      ::execve(file.c_str(), arguments_.data(), environment_.data());
      if (errno == EACCES) number = EACCES;
      if (!goes_on_after(errno)) return errno;
    }
    return number;
  }

  static bool goes_on_after(int number) noexcept {
    return number == EACCES || number == ENOENT || number == ENOTDIR || number == ESTALE ||
           number == ENODEV || number == ETIMEDOUT;
  }

  const SpawnPlan& plan_;
  const std::vector<char*> arguments_, environment_;
  const int highest_;  // the highest open descriptor; -1 if close_range(2) works
};

// Forks with all signals blocked, so that no handler of the parent runs in the child. Stores the
// earlier signal mask in `before`. Errors: those of fork(2), in errno.
pid_t fork_blocked(sigset_t& before) noexcept {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  return ::fork();
}

bool read_failure(int status, Failure& failure) noexcept {
  ssize_t count = 0;
  do count = ::read(status, &failure, sizeof(failure));
  while (count < 0 && errno == EINTR);
  return count == static_cast<ssize_t>(sizeof(failure));
}

void wait_for(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<pid_t> spawn_child(const SpawnPlan& plan) {
  Result<PipeEnds> status = make_pipe_ends();
  if (!status) return status.error();
  const Child child(plan);
  sigset_t before;
  const pid_t pid = fork_blocked(before);
  if (pid == 0) child.run(status->write.get());
  const std::error_code error = last_system_error();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return error;
  status->write.reset();
  Failure failure{};
  if (!read_failure(status->read.get(), failure)) return pid;
  wait_for(pid);
  if (failure.step == Failure::Step::directory) return Errc::bad_directory;
  return system_error(failure.number);
}

}  // namespace reactor
