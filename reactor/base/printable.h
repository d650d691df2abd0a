// SPDX-License-Identifier: MIT
// printable() turns outside text into one line that a log, a terminal or a status line can show.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reactor {

// Returns whether `text` is UTF-8 (RFC 3629) without control characters (C0, DEL, C1) and without
// Unicode's line and paragraph separators. Such text is one line and moves no cursor. Any thread.
[[nodiscard]] bool is_printable(std::string_view text) noexcept;

// Returns `text` with everything that is_printable() rejects escaped: line feeds as \n, carriage
// returns as \r, tabs as \t, other bytes as \xHH. Backslashes are not escaped, so the original
// can't be recovered: the result is for people to read. Any thread. Throws std::bad_alloc.
[[nodiscard]] std::string printable(std::string_view text);

// Does the same, but writes the result to `out`, which has at least 4 bytes. If the result does not
// fit, it is cut and ends in "...". Allocates nothing. Any thread.
[[nodiscard]] std::string_view printable(std::span<char> out, std::string_view text) noexcept;

}  // namespace reactor
