// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace reactor {

// Counts how often this process was stopped and continued while this object lives. Each time, a
// process that waits wakes for no reason: epoll_wait(2) and select(2) fail with EINTR (signal(7)).
// tests/stutter stops and continues the tests all the time.
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
