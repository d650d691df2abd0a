// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace servers {

// What comes from a command line or a file, for a message of one line: printable, and cut to at
// most kBrief bytes of `text` and how many it had.
inline constexpr std::size_t kBrief = 256;
[[nodiscard]] std::string brief(std::string_view text);

}  // namespace servers
