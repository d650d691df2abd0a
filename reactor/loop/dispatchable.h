// SPDX-License-Identifier: MIT
// What the loop can call, seen from the loop: something that can say who made it. Private, but for
// those who write transports on the bare poll target and timer node.
#pragma once

#include <cstdint>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/source_location.h"

namespace reactor {

// One live handle, for dump(), for slow-callback reports and for a watchdog's last words.
struct HandleInfo {
  std::string_view kind;  // "io", "timer", "signal", "child", "deferred", "stream", ...
  int number = -1;        // descriptor, signal or pid; -1 where there is none
  TimePoint created{};    // on the loop's clock; zero where it is not kept
  SourceLocation where;   // the line that made the handle (its Listener for a stream)
};

// Base of everything whose callback a loop runs. No virtual destructor: never deleted through this.
class Dispatchable {
 public:
  // Async-signal-safe: copies what is there, allocates nothing. The default names nothing; it is
  // there for a target that is detached by the destructor of one of its bases.
  [[nodiscard]] virtual HandleInfo describe() const noexcept { return {}; }

 protected:
  Dispatchable() = default;
  Dispatchable(const Dispatchable&) = default;
  Dispatchable& operator=(const Dispatchable&) = default;
  ~Dispatchable() = default;
};

}  // namespace reactor
