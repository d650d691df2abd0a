// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace servers {

// Makes text from a command line or a file fit for a one-line message: printable and short. If
// `text` has more than kBrief bytes, the result has only the first ones, followed by the length of
// `text`.
inline constexpr std::size_t kBrief = 256;
[[nodiscard]] std::string brief(std::string_view text);

}  // namespace servers
