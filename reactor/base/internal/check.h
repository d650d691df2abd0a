// SPDX-License-Identifier: MIT
// REACTOR_CHECK tests preconditions that only a bug in the caller can break. It never tests what a
// network, a peer or a user does: such errors are returned as a Result.
#pragma once

namespace reactor {

// Writes "file:line: check failed: text" to the log and aborts.
[[noreturn]] void check_failed(const char* text, const char* file, int line) noexcept;

}  // namespace reactor

// The check is active in every build. It is internal: the public API has no macros.
#define REACTOR_CHECK(condition)                       \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::reactor::check_failed(#condition, __FILE__, __LINE__))
