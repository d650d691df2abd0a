// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace servers {

// Returns text from a command line or a file as part of a one-line message: printable, and cut to
// at most kBrief bytes of `text`, followed by the length that it had.
inline constexpr std::size_t kBrief = 256;
[[nodiscard]] std::string brief(std::string_view text);

}  // namespace servers
