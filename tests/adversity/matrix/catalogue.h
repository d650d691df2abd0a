// SPDX-License-Identifier: MIT
// The cells of the matrix: the product of its lists.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tests/adversity/matrix/cell.h"
#include "tests/adversity/matrix/subject.h"

namespace reactor::adversity {

// Returns the cells that match the patterns in `arguments`, which are in the order of Cell's
// members. A missing pattern matches everything. Cells that the table leaves out are not returned.
[[nodiscard]] std::vector<Cell> cells(std::span<const std::string_view> arguments);
// Prints to standard output how many cells the table leaves out, by reason.
void print_left_out();
[[nodiscard]] const Kind& kind_of(const Cell& cell);

}  // namespace reactor::adversity
