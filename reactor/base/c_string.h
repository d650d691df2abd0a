// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace reactor {

// Whether the system's calls see all of `text`: a C string ends at its first NUL byte, so a path or
// name that holds one would silently become another path or name.
[[nodiscard]] constexpr bool is_c_string(std::string_view text) noexcept {
  return text.find('\0') == std::string_view::npos;
}

}  // namespace reactor
