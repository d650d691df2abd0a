// SPDX-License-Identifier: MIT
// A child is watched by the first of three methods that works. Each method only marks the child as
// due; dispatch() then calls waitpid(2) for the child, in the turn's children phase, and calls the
// watcher.
//
//   pidfd            one descriptor per child, readable when the child has ended
//   process filter   EVFILT_PROC of kqueue, which needs no descriptor
//   SIGCHLD          one signal may stand for many children, so it marks all of them as due
//
// A child may have ended before the watch begins. It is a zombie then, and no other process can get
// its pid before the zombie is waited for, so add() can mark it as due.
#include "reactor/loop/internal/children.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "reactor/base/error.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"
#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace reactor {
namespace {

// Opens a pidfd, which is always close-on-exec (pidfd_open(2)). Returns -1 with ENOSYS if the
// system has no pidfds.
int open_pidfd([[maybe_unused]] pid_t pid) {
#if defined(SYS_pidfd_open)
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
#else
  errno = ENOSYS;
  return -1;
#endif
}

// Returns ECHILD if `pid` is not a child of this process or was already waited for.
std::error_code check_own_child(pid_t pid) {
  if (pid <= 0) return system_error(ECHILD);
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) return {};
  return last_system_error();
}

}  // namespace

Children::Children(Core& core, ChildMethod method) : core_(core), method_(method) {}
Children::~Children() = default;

bool Children::allows(ChildMethod method) const noexcept {
  return method_ == ChildMethod::automatic || method_ == method;
}

std::error_code Children::add(ChildState& state) {
  if (const std::error_code error = check_own_child(state.pid)) return error;
  watched_.reserve(watched_.size() + 1);
  if (const std::error_code error = watch(state)) return error;
  watched_.push_back(&state);
  state.watching = true;
  return {};
}

// Tries the allowed methods in order. If none works, returns the error of the last one.
std::error_code Children::watch(ChildState& state) {
  std::error_code error = Errc::not_supported;
  if (allows(ChildMethod::pidfd)) error = watch_pidfd(state);
  if (error && allows(ChildMethod::process_filter)) error = watch_process_filter(state);
  // The child has ended, but nobody has waited for it yet: check_own_child() still saw it.
  if (error == std::errc::no_such_process) {
    mark_due(state);
    return {};
  }
  if (error && allows(ChildMethod::sigchld)) {
    error = watch_sigchld();
    if (!error) mark_due(state);  // it may have ended before the handler was installed
  }
  return error;
}

std::error_code Children::watch_pidfd(ChildState& state) {
  state.pidfd.reset(open_pidfd(state.pid));
  if (!state.pidfd) return last_system_error();
  state.set_fd(state.pidfd.get());
  const std::error_code error = core_.registry.attach(state, Interest::read, true, Trigger::level);
  if (!error) return {};
  state.pidfd.reset();
  state.set_fd(-1);  // the number may belong to another file from now on
  return error;
}

std::error_code Children::watch_process_filter(ChildState& state) {
  return core_.registry.attach_process(state, state.pid);
}

std::error_code Children::watch_sigchld() {
  if (sigchld_ != nullptr && sigchld_->watching) return {};
  sigchld_ = std::make_unique<SignalState>(
      core_, SIGCHLD, [this] { mark_all_due(); }, SourceLocation::current());
  return core_.signals.add(*sigchld_);
}

void Children::remove(ChildState& state) noexcept {
  if (!state.watching) return;
  state.watching = false;
  if (state.due) --due_;
  state.due = false;
  if (state.pidfd) {
    core_.registry.detach(state, Detach::closing);
    state.pidfd.reset();
  } else {
    core_.registry.detach_process(state, state.pid);
  }
  std::erase(watched_, &state);
  if (watched_.empty() && sigchld_ != nullptr) core_.signals.remove(*sigchld_);
}

bool Children::waits_for(pid_t pid) const noexcept {
  return std::any_of(watched_.begin(), watched_.end(),
                     [pid](const ChildState* state) { return state->pid == pid; });
}

void Children::mark_due(ChildState& state) noexcept {
  if (state.due) return;
  state.due = true;
  ++due_;
}

// SIGCHLD coalesces: one signal may stand for any number of children.
void Children::mark_all_due() noexcept {
  for (ChildState* state : watched_) mark_due(*state);
}

void Children::dispatch() {
  while (due_ > 0) {
    const auto found = std::find_if(watched_.begin(), watched_.end(),
                                    [](const ChildState* candidate) { return candidate->due; });
    ChildState& state = **found;
    state.due = false;
    --due_;
    ExitStatus status;
    if (!reap(state, status)) continue;
    state.stop();  // from here on another process may get this pid
    core_.stats->children.add();
    core_.slow.enter(state);
    core_.call(state, state.callback, status);
  }
}

bool Children::reap(ChildState& state, ExitStatus& status) {
  if (state.failure) {
    status = ExitStatus(state.failure);
    return true;
  }
  int wait_status = 0;
  pid_t result = 0;
  do {
    result = ::waitpid(state.pid, &wait_status, WNOHANG);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return false;
  status = result > 0 ? ExitStatus(wait_status) : ExitStatus(last_system_error());
  return true;
}

void Children::rewatch() noexcept {
  for (ChildState* state : watched_) {
    if (state->pidfd || !state->attached()) continue;
    core_.registry.detach_process(*state, state->pid);
    try {
      state->failure = watch(*state);
    } catch (const std::bad_alloc&) {
      state->failure = std::make_error_code(std::errc::not_enough_memory);
    }
    if (state->failure) mark_due(*state);
  }
}

void Children::fail_all(std::error_code error) noexcept {
  for (ChildState* state : watched_) {
    state->failure = error;
    mark_due(*state);
  }
}

}  // namespace reactor
