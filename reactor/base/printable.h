// SPDX-License-Identifier: MIT
// Text from outside as one line that a log, a terminal or a status line can show.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reactor {

// Whether `text` is UTF-8 (RFC 3629) without control characters (C0, DEL, C1) and without the line
// and paragraph separators of Unicode: it is one line, and moves no cursor. Any thread.
[[nodiscard]] bool is_printable(std::string_view text) noexcept;

// `text` with everything that is_printable() objects to escaped: line feeds as \n, carriage returns
// as \r, tabs as \t, other bytes as \xHH. Backslashes stay as they are: this is for readers, and
// can't be undone. Any thread. Throws std::bad_alloc.
[[nodiscard]] std::string printable(std::string_view text);

// The same in the memory of `out`, at least 4 bytes. Text that does not fit is cut and ends in
// "...". Allocates nothing. Any thread.
[[nodiscard]] std::string_view printable(std::span<char> out, std::string_view text) noexcept;

}  // namespace reactor
