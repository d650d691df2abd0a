// SPDX-License-Identifier: MIT
// One line of an AccessLog as text. Private to http/.
#pragma once

#include <cstddef>
#include <ctime>
#include <span>
#include <string_view>

#include "reactor/http/access_log.h"

namespace reactor::http {

// With its end. What a pipe takes in one piece on Linux (PIPE_BUF).
inline constexpr std::size_t kMostAccessLine = 4096;

// Writes the line to `out`, which holds kMostAccessLine; how long it is. `stamp` is format_stamp's.
[[nodiscard]] std::size_t format_access_line(std::span<char> out, AccessLog::Format format,
                                             const AccessLog::Entry& entry,
                                             std::string_view stamp) noexcept;

// The second that began at `wall` (the Unix epoch's), as the format wants it, in local time.
// `out` holds 32; how long it is.
[[nodiscard]] std::size_t format_access_stamp(std::span<char> out, AccessLog::Format format,
                                              std::time_t wall) noexcept;

}  // namespace reactor::http
