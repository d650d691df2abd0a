// SPDX-License-Identifier: MIT
// This header helps tests whose kqueue backend runs on libkqueue. docs/architecture.md says how
// libkqueue differs from the kernels' kqueue(2).
#pragma once

#include "reactor/poller/readiness.h"

namespace reactor {

#if defined(REACTOR_TEST_LIBKQUEUE)
inline constexpr bool kOnLibkqueue = true;
#else
inline constexpr bool kOnLibkqueue = false;
#endif

[[nodiscard]] constexpr bool on_libkqueue(Backend backend) {
  return kOnLibkqueue && backend == Backend::kqueue;
}

// libkqueue_drain_pending_close(3) of version 2.7. It waits until the helper descriptors of closed
// queues are closed. The symbol is null without that version.
extern "C" [[gnu::weak]] void libkqueue_drain_pending_close();

}  // namespace reactor

// These macros skip tests of behaviour that libkqueue lacks. `reason` continues the message after
// the word "libkqueue", as in "keeps the old udata". The second macro is for tests that run on each
// backend.
#define SKIP_ON_LIBKQUEUE(reason) \
  if (kOnLibkqueue) GTEST_SKIP() << "libkqueue " << reason
#define SKIP_BACKEND_ON_LIBKQUEUE(reason) \
  if (on_libkqueue(GetParam())) GTEST_SKIP() << "libkqueue " << reason
