// SPDX-License-Identifier: MIT
// Runner: plays cells in separate processes, so that a cell that crashes, leaks or hangs is just
// one failure.
#pragma once

#include <vector>

#include "tests/adversity/matrix/cell.h"

namespace reactor::adversity {

// Plays all cells, and prints each failure with the command that replays it. Returns the number of
// failures.
[[nodiscard]] int play(const std::vector<Cell>& cells);

}  // namespace reactor::adversity
