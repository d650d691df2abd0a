// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {

// The thread sanitizer intercepts asynchronous signals. It calls the handler at the next library
// call that it intercepts. A wait that enters the kernel by syscall(2) is not intercepted, so the
// handler of a signal that came just before the wait runs only after it.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kHandlersAreDeferred = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kHandlersAreDeferred = true;
#else
inline constexpr bool kHandlersAreDeferred = false;
#endif
#else
inline constexpr bool kHandlersAreDeferred = false;
#endif

}  // namespace reactor
