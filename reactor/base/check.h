// SPDX-License-Identifier: MIT
// REACTOR_CHECK: for preconditions that only a bug of the caller breaks. What a network, a peer or
// a user does is never checked this way: that gives a Result.
#pragma once

namespace reactor {

// Writes "file:line: check failed: text" to the log and aborts.
[[noreturn]] void check_failed(const char* text, const char* file, int line) noexcept;

}  // namespace reactor

// On in every build. Internal: the API itself has no macros.
#define REACTOR_CHECK(condition)                       \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::reactor::check_failed(#condition, __FILE__, __LINE__))
