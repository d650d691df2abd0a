// SPDX-License-Identifier: MIT
#include "reactor/base/internal/sigpipe.h"

#include <pthread.h>

#include <cerrno>

namespace reactor {
namespace {

bool is_pending() noexcept {
  sigset_t pending;
  sigemptyset(&pending);
  return ::sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

sigset_t only_sigpipe() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

}  // namespace

// If SIGPIPE was not blocked before, it can't be pending.
SigpipeBlock::SigpipeBlock() noexcept {
  const sigset_t set = only_sigpipe();
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  was_blocked_ = sigismember(&before_, SIGPIPE) == 1;
  was_pending_ = was_blocked_ && is_pending();
}

// If SIGPIPE is ignored it never becomes pending, and sigwait() would wait for ever.
void SigpipeBlock::take_back(ssize_t count, std::size_t size) noexcept {
  if (count >= 0 ? static_cast<std::size_t>(count) == size : errno != EPIPE) return;
  const int kept = errno;
  if (!was_pending_ && is_pending()) {
    const sigset_t set = only_sigpipe();
    int number = 0;
    ::sigwait(&set, &number);
  }
  errno = kept;
}

SigpipeBlock::~SigpipeBlock() {
  if (!was_blocked_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace reactor
