// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace reactor::prefork {

// Returns the processors that this process may run on, ascending; empty if the system does not tell
// (sched_getaffinity(2)).
[[nodiscard]] std::vector<int> allowed_processors();

// Pins this process to one processor. Errors: those of sched_setaffinity(2); not_supported.
[[nodiscard]] std::error_code pin_to(int processor) noexcept;

// Formats processors as in "0-3,8".
[[nodiscard]] std::string processors_to_string(std::span<const int> processors);

}  // namespace reactor::prefork
