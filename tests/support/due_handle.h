// SPDX-License-Identifier: MIT
// DueHandle puts handles of every kind behind one interface, so that a guarantee about all kinds is
// tested once.
#pragma once

#include <array>
#include <csignal>
#include <memory>
#include <string_view>

#include "reactor/loop/loop.h"

namespace reactor {

enum class Kind { io, timer, signal, deferred, child };

// Kind::child forks, so a test that uses it has Child or Fork in its name (see fork.h).
inline constexpr std::array kKindsWithoutChild = {Kind::io, Kind::timer, Kind::signal,
                                                  Kind::deferred};
inline constexpr int kTestSignal = SIGUSR1;

[[nodiscard]] std::string_view to_string(Kind kind);  // the same name as HandleInfo::kind

// A handle whose callback is due in the next turn. The destructor destroys the handle, too.
class DueHandle {
 public:
  virtual ~DueHandle() = default;
  virtual void stop() = 0;
  [[nodiscard]] virtual bool active() const = 0;
  virtual void ref() = 0;
  virtual void unref() = 0;
};

// Makes a handle of `kind` that is due. An io handle stays due, because its byte is never read; the
// others are due once.
[[nodiscard]] std::unique_ptr<DueHandle> make_due(Loop& loop, Kind kind, Callback<void()> callback);

}  // namespace reactor
