// SPDX-License-Identifier: MIT
// Loop::dump() and Loop::counts() tell people what a loop holds.
#include <algorithm>
#include <array>
#include <iomanip>
#include <ostream>

#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

// Returns false for targets that are listed as handles, and for the loop's own targets.
bool is_transport(const PollTarget& target) {
  constexpr std::array<std::string_view, 4> kOthers = {"io", "child", "wakeup", "signal pipe"};
  return std::find(kOthers.begin(), kOthers.end(), target.describe().kind) == kOthers.end();
}

void print(std::ostream& out, const HandleInfo& info, TimePoint now, bool active) {
  out << info.kind;
  if (info.number >= 0) out << ' ' << info.number;
  if (info.created != TimePoint{}) {
    const std::chrono::duration<double> age = now - info.created;
    out << " age " << std::fixed << std::setprecision(3) << age.count() << " s";
  }
  if (!active) out << " (stopped)";
  out << " made at " << info.where.file_name() << ':' << info.where.line() << '\n';
}

}  // namespace

HandleCounts Loop::counts() const noexcept {
  HandleCounts counts;
  for (const HandleState* state = core_->newest; state != nullptr; state = state->older) {
    const std::string_view kind = state->dispatchable().describe().kind;
    if (kind == "io") ++counts.io;
    if (kind == "timer") ++counts.timers;
    if (kind == "signal") ++counts.signals;
    if (kind == "child") ++counts.children;
    if (kind == "deferred") ++counts.deferred;
  }
  core_->registry.for_each([&counts](const PollTarget& target) {
    if (is_transport(target)) ++counts.transports;
  });
  return counts;
}

void Loop::dump(std::ostream& out) const {
  const TimePoint at = monotonic_now();
  for (const HandleState* state = core_->newest; state != nullptr; state = state->older) {
    print(out, state->dispatchable().describe(), at, state->active());
  }
  core_->registry.for_each([&](const PollTarget& target) {
    if (is_transport(target)) print(out, target.describe(), at, true);
  });
}

}  // namespace reactor
