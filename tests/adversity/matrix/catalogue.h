// SPDX-License-Identifier: MIT
// The cells of the matrix: the product of its lists.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tests/adversity/matrix/cell.h"
#include "tests/adversity/matrix/subject.h"

namespace reactor::adversity {

// Those that match the patterns of `arguments`, in the order of Cell's members; missing ones match
// all. Cells that the table leaves out are not among them.
[[nodiscard]] std::vector<Cell> cells(std::span<const std::string_view> arguments);
// How many the table leaves out, by its reasons, to standard output.
void print_left_out();
[[nodiscard]] const Kind& kind_of(const Cell& cell);

}  // namespace reactor::adversity
