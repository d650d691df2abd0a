// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "reactor/base/clock.h"
#include "reactor/prefork/internal/control.h"
#include "reactor/prefork/internal/scoreboard.h"

namespace reactor::prefork {

// The end of each log line about a worker that broke the rules.
inline constexpr const char* kSuspicion =
    "If this happens again, suspect that clients run their code in the workers";

// A worker as its master sees it. It is silent while its loop does not turn. Private to prefork.
//
//   starting -- `ready` --> serving -- a successor is ready, or the slot is closed --> leaving
//       |                      |                                                          |
//       +---- silent for too long: aborted, then killed ---------------------------------+--> gone
struct WorkerProcess {
  enum class State : std::uint8_t { starting, serving, leaving, aborted };

  pid_t pid = 0;
  unsigned slot = 0;
  // Of the plan that the worker was started with, which a reload does not change.
  Duration timeout{}, graceful_timeout{};
  State state = State::starting;
  Control control;
  std::uint32_t seat = 0;
  TimePoint started{};
  TimePoint deadline = TimePoint::max();  // for becoming ready, or for ending
  std::uint64_t turns = 0;                // of its loop, at the last look
  TimePoint moved{};                      // when `turns` was last seen to change
  bool reported = false;                  // its silence was logged

  [[nodiscard]] std::string name() const {
    return "worker " + std::to_string(slot) + " (pid " + std::to_string(pid) + ")";
  }
};

}  // namespace reactor::prefork
