// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace reactor {

// Returns whether system calls see all of `text`. A C string ends at its first NUL byte, so a path
// or name that contains one would silently become another path or name.
[[nodiscard]] constexpr bool is_c_string(std::string_view text) noexcept {
  return text.find('\0') == std::string_view::npos;
}

}  // namespace reactor
