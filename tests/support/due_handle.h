// SPDX-License-Identifier: MIT
// Handles of every kind in the same dress: what holds for all of them is tested once.
#pragma once

#include <array>
#include <csignal>
#include <memory>
#include <string_view>

#include "reactor/loop/loop.h"

namespace reactor {

enum class Kind { io, timer, signal, deferred, child };

// Child forks: tests with it are named so.
inline constexpr std::array kKindsWithoutChild = {Kind::io, Kind::timer, Kind::signal,
                                                  Kind::deferred};
inline constexpr int kTestSignal = SIGUSR1;

[[nodiscard]] std::string_view to_string(Kind kind);  // as HandleInfo::kind

// A handle whose callback is due in the next turn. Destroying this destroys the handle.
class DueHandle {
 public:
  virtual ~DueHandle() = default;
  virtual void stop() = 0;
  [[nodiscard]] virtual bool active() const = 0;
  virtual void ref() = 0;
  virtual void unref() = 0;
};

// An io handle stays due, as its octet is never read; the others are due once.
[[nodiscard]] std::unique_ptr<DueHandle> make_due(Loop& loop, Kind kind, Callback<void()> callback);

}  // namespace reactor
