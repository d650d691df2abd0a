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

// A signal is pending only while it is blocked. So is_pending(), a system call, is needed only if
// the caller had blocked SIGPIPE already.
SigpipeBlock::SigpipeBlock() noexcept {
  const sigset_t set = only_sigpipe();
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  was_blocked_ = sigismember(&before_, SIGPIPE) == 1;
  was_pending_ = was_blocked_ && is_pending();
}

// Calls is_pending() before sigwait(): an ignored SIGPIPE never becomes pending, and sigwait()
// would wait for it for ever.
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
