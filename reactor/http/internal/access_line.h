// SPDX-License-Identifier: MIT
// These functions format one line of an AccessLog as text. Private to http/.
#pragma once

#include <cstddef>
#include <ctime>
#include <span>
#include <string_view>

#include "reactor/http/access_log.h"

namespace reactor::http {

// The most bytes of a line, including its line end. On Linux a pipe takes up to that many bytes in
// one piece (PIPE_BUF).
inline constexpr std::size_t kMostAccessLine = 4096;

// Writes the line to `out`, which holds kMostAccessLine bytes, and returns its length. `stamp`
// comes from format_access_stamp().
[[nodiscard]] std::size_t format_access_line(std::span<char> out, AccessLog::Format format,
                                             const AccessLog::Entry& entry,
                                             std::string_view stamp) noexcept;

// Writes the timestamp of `wall` (seconds since the Unix epoch) in the format's style, in local
// time, to `out`, which holds 32 bytes. Returns its length.
[[nodiscard]] std::size_t format_access_stamp(std::span<char> out, AccessLog::Format format,
                                              std::time_t wall) noexcept;

}  // namespace reactor::http
