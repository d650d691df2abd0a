// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/table.h"

#include <algorithm>

#include "tests/adversity/matrix/cell.h"

namespace reactor::adversity {
namespace {

bool matches_one(std::string_view pattern, std::string_view text) {
  if (!pattern.ends_with('*')) return pattern == text;
  return text.starts_with(pattern.substr(0, pattern.size() - 1));
}

template <class Row>
bool concerns(const Row& row, const Cell& cell) {
  return matches(row.callback, cell.callback) && matches(row.action, cell.action) &&
         matches(row.carrier, cell.carrier_name()) && matches(row.when, cell.when_name());
}

// Returns the first row of `rows` that applies to the cell, or null.
template <class Rows>
auto find_row(const Rows& rows, const Cell& cell) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return concerns(row, cell); });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  for (std::size_t bar = 0; bar != pattern.npos;) {
    bar = pattern.find('|');
    if (matches_one(pattern.substr(0, bar), text)) return true;
    if (bar != pattern.npos) pattern.remove_prefix(bar + 1);
  }
  return false;
}

Expected expected_of(const Cell& cell) {
  if (const LeftOut* const row = find_row(kLeftOut, cell)) {
    return {.whose = Whose::nobody, .end = End::lives, .left_out = row->reason};
  }
  const auto rule = std::find_if(kRules.begin(), kRules.end(),
                                 [&](const Rule& row) { return row.action == cell.action; });
  Expected expected{.whose = rule->whose, .end = rule->end, .left_out = {}};
  if (const Exception* const row = find_row(kExceptions, cell)) expected.end = row->end;
  return expected;
}

std::string_view to_string(End end) {
  constexpr std::array<std::string_view, 12> kNames = {
      "lives",    "gone",  "closed",      "failed",  "aborted", "timed_out",
      "detached", "moved", "half_closed", "drained", "thrown",  "stopped"};
  return kNames[static_cast<std::size_t>(end)];
}

}  // namespace reactor::adversity
