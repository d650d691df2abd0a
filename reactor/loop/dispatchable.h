// SPDX-License-Identifier: MIT
// Dispatchable is anything that the loop can call. It can tell what it is and where it was made.
// Private, except to transports that are written directly on PollTarget and TimerNode.
#pragma once

#include <cstdint>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/source_location.h"

namespace reactor {

// HandleInfo describes one live handle, for dump(), for reports of slow callbacks and for a
// watchdog.
struct HandleInfo {
  std::string_view kind;  // "io", "timer", "signal", "child", "deferred", "stream", ...
  int number = -1;        // descriptor, signal or pid; -1 if there is none
  TimePoint created{};    // on the loop's clock; zero if it is not recorded
  SourceLocation where;   // the line that made the handle (its Listener for a stream)
};

// Dispatchable is the base of every object whose callback a loop runs. No object is deleted through
// this base, so its destructor is not virtual.
class Dispatchable {
 public:
  // Describes the handle. Async-signal-safe: returns copies and allocates nothing. The default
  // version returns an empty description. The default runs if a base class's destructor detaches
  // the target, because the derived part of the object is already destroyed by then.
  [[nodiscard]] virtual HandleInfo describe() const noexcept { return {}; }

 protected:
  Dispatchable() = default;
  Dispatchable(const Dispatchable&) = default;
  Dispatchable& operator=(const Dispatchable&) = default;
  ~Dispatchable() = default;
};

}  // namespace reactor
