// SPDX-License-Identifier: MIT
// KqueueCalls: the two system calls of kqueue(2) as a seam, so that a test can give the answers.
// Private to the poller.
#pragma once

#include <time.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <memory>

#include "reactor/base/result.h"
#include "reactor/poller/poller.h"

struct kevent;  // of <sys/event.h>, which only the backend includes

namespace reactor {

// Both as kqueue(2) says: -1 and errno where they fail.
struct KqueueCalls {
  using Kevent = struct ::kevent;

  int (*kqueue)();
  int (*kevent)(int kq, const Kevent* changes, int change_count, Kevent* events, int event_count,
                const timespec* timeout);
};

// The backend over `calls`, which are copied. Errors: those of kqueue().
[[nodiscard]] Result<std::unique_ptr<Poller>> make_kqueue_poller(const KqueueCalls& calls);

// How many events to ask the kernel for: its count is an int.
[[nodiscard]] constexpr int saturated_count(std::size_t slots) noexcept {
  return static_cast<int>(std::min(slots, std::size_t{INT_MAX}));
}

}  // namespace reactor
