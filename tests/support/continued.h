// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace reactor {

// Counts how often this process was stopped and goes on, for as long as it lives. Such a process is
// woken for nothing: epoll_wait(2) and select(2) give EINTR then (signal(7)). tests/stutter does it
// all the time.
class Continued {
 public:
  Continued() {
    struct sigaction count {};
    count.sa_handler = [](int) { total = total + 1; };
    count.sa_flags = SA_RESTART;
    ::sigaction(SIGCONT, &count, &before_);
  }
  ~Continued() { ::sigaction(SIGCONT, &before_, nullptr); }
  Continued(const Continued&) = delete;
  Continued& operator=(const Continued&) = delete;

  [[nodiscard]] int times() const { return total - start_; }

 private:
  static inline volatile std::sig_atomic_t total = 0;

  struct sigaction before_ {};
  const int start_ = total;
};

}  // namespace reactor
