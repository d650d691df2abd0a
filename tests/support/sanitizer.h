// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {

// The thread sanitizer takes asynchronous signals itself and calls the handler at the next library
// call that it knows. A wait that enters the kernel by syscall(2) is none: the handler of a signal
// that came just before it runs only after the wait.
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
