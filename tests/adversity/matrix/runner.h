// SPDX-License-Identifier: MIT
// Runner: plays cells in processes of its own, so that one that crashes, leaks or hangs is one
// failure among others.
#pragma once

#include <vector>

#include "tests/adversity/matrix/cell.h"

namespace reactor::adversity {

// Plays all, and prints each failure with the command that replays it. Gives how many failed.
[[nodiscard]] int play(const std::vector<Cell>& cells);

}  // namespace reactor::adversity
