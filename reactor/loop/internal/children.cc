// SPDX-License-Identifier: MIT
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

std::error_code Children::add(ChildSlot& slot) {
  if (const std::error_code error = check_own_child(slot.pid)) return error;
  slots_.reserve(slots_.size() + 1);
  if (const std::error_code error = watch(slot)) return error;
  slots_.push_back(&slot);
  slot.watching = true;
  return {};
}

// Tries the allowed methods in order. Returns the last one's error if none works.
std::error_code Children::watch(ChildSlot& slot) {
  std::error_code error = Errc::not_supported;
  if (allows(ChildMethod::pidfd)) error = watch_pidfd(slot);
  if (error && allows(ChildMethod::process_filter)) error = watch_process_filter(slot);
  // The child has ended, but nobody has waited for it yet: check_own_child() still saw it.
  if (error == std::errc::no_such_process) {
    mark_due(slot);
    return {};
  }
  if (error && allows(ChildMethod::sigchld)) {
    error = watch_sigchld();
    if (!error) mark_due(slot);  // it may have ended before the handler was installed
  }
  return error;
}

std::error_code Children::watch_pidfd(ChildSlot& slot) {
  slot.pidfd.reset(open_pidfd(slot.pid));
  if (!slot.pidfd) return last_system_error();
  slot.set_fd(slot.pidfd.get());
  const std::error_code error = core_.registry.attach(slot, Interest::read, true, Trigger::level);
  if (!error) return {};
  slot.pidfd.reset();
  slot.set_fd(-1);  // the number may belong to another file from now on
  return error;
}

std::error_code Children::watch_process_filter(ChildSlot& slot) {
  return core_.registry.attach_process(slot, slot.pid);
}

std::error_code Children::watch_sigchld() {
  if (sigchld_ != nullptr && sigchld_->watching) return {};
  sigchld_ = std::make_unique<SignalSlot>(
      core_, SIGCHLD, [this] { mark_all_due(); }, SourceLocation::current());
  return core_.signals.add(*sigchld_);
}

void Children::remove(ChildSlot& slot) noexcept {
  if (!slot.watching) return;
  slot.watching = false;
  if (slot.due) --due_;
  slot.due = false;
  if (slot.pidfd) {
    core_.registry.detach(slot, Detach::closing);
    slot.pidfd.reset();
  } else {
    core_.registry.detach_process(slot, slot.pid);
  }
  std::erase(slots_, &slot);
  if (slots_.empty() && sigchld_ != nullptr) core_.signals.remove(*sigchld_);
}

bool Children::waits_for(pid_t pid) const noexcept {
  return std::any_of(slots_.begin(), slots_.end(),
                     [pid](const ChildSlot* slot) { return slot->pid == pid; });
}

void Children::mark_due(ChildSlot& slot) noexcept {
  if (slot.due) return;
  slot.due = true;
  ++due_;
}

// SIGCHLD coalesces: one signal may stand for any number of children.
void Children::mark_all_due() noexcept {
  for (ChildSlot* slot : slots_) mark_due(*slot);
}

void Children::dispatch() {
  while (due_ > 0) {
    const auto found = std::find_if(slots_.begin(), slots_.end(),
                                    [](const ChildSlot* candidate) { return candidate->due; });
    ChildSlot& slot = **found;
    slot.due = false;
    --due_;
    ExitStatus status;
    if (!reap(slot, status)) continue;
    slot.stop();  // from here on another process may get this pid
    core_.stats->children.add();
    core_.slow.enter(slot);
    core_.call(slot, slot.callback, status);
  }
}

bool Children::reap(ChildSlot& slot, ExitStatus& status) {
  if (slot.failure) {
    status = ExitStatus(slot.failure);
    return true;
  }
  int wait_status = 0;
  pid_t result = 0;
  do {
    result = ::waitpid(slot.pid, &wait_status, WNOHANG);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return false;
  status = result > 0 ? ExitStatus(wait_status) : ExitStatus(last_system_error());
  return true;
}

void Children::rewatch() noexcept {
  for (ChildSlot* slot : slots_) {
    if (slot->pidfd || !slot->attached()) continue;
    core_.registry.detach_process(*slot, slot->pid);
    try {
      slot->failure = watch(*slot);
    } catch (const std::bad_alloc&) {
      slot->failure = std::make_error_code(std::errc::not_enough_memory);
    }
    if (slot->failure) mark_due(*slot);
  }
}

void Children::fail_all(std::error_code error) noexcept {
  for (ChildSlot* slot : slots_) {
    slot->failure = error;
    mark_due(*slot);
  }
}

}  // namespace reactor
