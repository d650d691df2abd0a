// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>
#include <system_error>

#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// The master's signals as octets in a pipe: the only object of its kind in a process. Private.
class SignalPipe {
 public:
  SignalPipe() = default;
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;
  // Restores the mask and the dispositions that were there before open().
  ~SignalPipe();

  // Takes the master's signals over and unblocks them: a parent may have left them blocked
  // (execve(2)), and so may block(). Errors: those of pipe(2) and sigaction(2).
  [[nodiscard]] std::error_code open();
  // Readable while signals wait.
  [[nodiscard]] int fd() const noexcept { return read_end_.get(); }
  // The next signal's number; 0 where none waits. Several of one kind may have become one.
  [[nodiscard]] int next() noexcept;

  // In a worker, while all signals are blocked: no pipe, and default dispositions. What is the
  // master's business alone is ignored, as a terminal or a kill(2) of the group sends it to all.
  void abandon_in_worker() noexcept;

  // Default dispositions, for a child that is to execute a program; while all are blocked.
  static void restore_defaults() noexcept;

  // Blocks and unblocks the signals that open() takes over. While nobody handles them yet, or any
  // more, they would end or stop the process; blocked they wait.
  static void block() noexcept;
  static void unblock() noexcept;
  [[nodiscard]] static sigset_t signals() noexcept;

 private:
  UniqueFd read_end_, write_end_;
  sigset_t before_{};  // the mask
};

// Signals are blocked while it lives. All of them around fork(), so that none reaches a child that
// still has the master's handlers, and none is lost.
class SignalBlock {
 public:
  SignalBlock() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before_);
  }
  // These, besides those that are blocked already.
  explicit SignalBlock(const sigset_t& signals) noexcept {
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
  }
  ~SignalBlock() { lift(); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

  // What came meanwhile is delivered here.
  void lift() noexcept { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace reactor::prefork
