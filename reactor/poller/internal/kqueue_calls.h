// SPDX-License-Identifier: MIT
// KqueueCalls holds the two system calls of kqueue(2), so that a test can replace them. Private to
// the poller.
#pragma once

#include <time.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <memory>

#include "reactor/base/result.h"
#include "reactor/poller/internal/poller.h"

struct kevent;  // from <sys/event.h>, which only the backend includes

namespace reactor {

// Both functions behave as kqueue(2) says: on failure they return -1 and set errno.
struct KqueueCalls {
  using Kevent = struct ::kevent;

  int (*kqueue)();
  int (*kevent)(int kq, const Kevent* changes, int change_count, Kevent* events, int event_count,
                const timespec* timeout);
};

// Makes the kqueue backend over a copy of `calls`. Errors: those of kqueue().
[[nodiscard]] Result<std::unique_ptr<Poller>> make_kqueue_poller(const KqueueCalls& calls);

// Returns how many events to ask the kernel for: `room`, or the largest int if that is less.
[[nodiscard]] constexpr int saturated_count(std::size_t room) noexcept {
  return static_cast<int>(std::min(room, std::size_t{INT_MAX}));
}

}  // namespace reactor
