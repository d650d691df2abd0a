// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <system_error>

#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// Receives the master's signals as bytes in a pipe. There is at most one such object in a process.
// Private to prefork.
class SignalPipe {
 public:
  SignalPipe() = default;
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;
  // Restores the signal mask and the dispositions from before open().
  ~SignalPipe();

  // Takes the master's signals over and unblocks them, because a parent (execve(2)) or block() may
  // have left them blocked. Errors: those of pipe(2) and sigaction(2).
  [[nodiscard]] std::error_code open();
  // Readable while signals wait.
  [[nodiscard]] int fd() const noexcept { return read_end_.get(); }
  // Returns the number of the next signal; 0 if none waits. Several signals with one number may
  // have become one.
  [[nodiscard]] int next() noexcept;

  // Called in a worker, while all signals are blocked: closes the pipe and sets default
  // dispositions. Signals that only the master acts on are ignored, because a terminal, or a
  // kill(2) of the process group, sends them to master and workers.
  void abandon_in_worker() noexcept;

  // Sets default dispositions in a child that is about to execute a program, while all signals are
  // blocked.
  static void restore_defaults() noexcept;

  // Blocks and unblocks the signals that open() takes over. Signals that arrive while nobody
  // handles them, before open() or after the destructor, would end or stop the process; if blocked,
  // they wait.
  static void block() noexcept;
  static void unblock() noexcept;
  [[nodiscard]] static sigset_t signals() noexcept;

 private:
  UniqueFd read_end_, write_end_;
  sigset_t before_{};  // the signal mask
};

// Blocks signals during its lifetime. Block all of them around fork(): then no signal reaches a
// child that still has the master's handlers, and none is lost.
class SignalBlock {
 public:
  SignalBlock() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before_);
  }
  // Blocks `signals` in addition to those that are blocked already.
  explicit SignalBlock(const sigset_t& signals) noexcept {
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
  }
  ~SignalBlock() { lift(); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

  // Restores the mask. Signals that came meanwhile are delivered here.
  void lift() noexcept { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace reactor::prefork
