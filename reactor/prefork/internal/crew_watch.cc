// SPDX-License-Identifier: MIT
// Crew: watches whether the workers' loops turn, and whether each worker becomes ready in time and
// ends in time. A worker is silent while its loop does not turn. Because an idle loop turns at each
// beat (Worker::start_beating()), silence means that a callback blocks the loop. The crew tells a
// worker that is silent for half of its timeout to report that callback. At the end of the timeout
// it aborts the worker:
//
//   turning -- timeout / 2 --> reported -- timeout --> SIGABRT -- kKillDelay --> SIGKILL
//      ^                          |
//      +-------- it turns --------+
#include <algorithm>
#include <csignal>
#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/crew.h"

namespace reactor::prefork {
namespace {

std::string in_ms(Duration duration) {
  return std::to_string(duration / std::chrono::milliseconds(1)) + " ms";
}

// Returns how long a worker may be silent before it has to report its callback. A healthy loop
// turns much more often.
Duration report_after(Duration timeout) { return timeout / 2; }

}  // namespace

void Crew::look_after() {
  const TimePoint now = clock_.now();
  next_look_ = TimePoint::max();
  for (const auto& process : processes_) {
    look_after(*process, now);
    if (process->timeout == Duration::zero()) continue;
    next_look_ = std::min(next_look_, saturating_add(now, beat_of(process->timeout)));
  }
}

void Crew::look_after(WorkerProcess& process, TimePoint now) {
  const Duration timeout = process.timeout;
  const std::uint64_t turns = scoreboard_.seat(process.seat).loop.turns.get();
  const bool waits = held_ && process.state == WorkerProcess::State::serving;
  if (turns != process.turns || waits) {
    process.turns = turns;
    process.reported = false;
    note_turn(process, now);
  }
  if (now >= process.deadline) {
    REACTOR_LOG(warn, process.name() + " did not end in time and is killed");
    process.deadline = TimePoint::max();
    calls_.kill(process.pid, SIGKILL);
  } else if (timeout > Duration::zero() && process.state != WorkerProcess::State::aborted) {
    const bool starting = process.state == WorkerProcess::State::starting;
    const Duration silent = now - (starting ? process.started : process.moved);
    if (silent >= timeout) {
      abort(process, now, starting ? "is not ready" : "has been silent");
    } else if (!starting && silent >= report_after(timeout) && !process.reported) {
      process.reported = true;
      REACTOR_LOG(warn, process.name() + " has been silent for " + in_ms(silent));
      calls_.kill(process.pid, SIGUSR2);  // it reports what blocks its loop
    }
  }
}

void Crew::note_turn(WorkerProcess& process, TimePoint now) {
  process.moved = now;
  slot_plan_.turned(process.slot, process.pid, now);
}

void Crew::abort(WorkerProcess& process, TimePoint now, const std::string& why) {
  REACTOR_LOG(error,
              process.name() + " " + why + " for " + in_ms(process.timeout) + " and is aborted");
  process.state = WorkerProcess::State::aborted;
  process.deadline = std::min(process.deadline, saturating_add(now, kKillDelay));
  slot_plan_.aborted(process.slot, process.pid);
  calls_.kill(process.pid, SIGABRT);
}

TimePoint Crew::next_turn() const {
  TimePoint next = std::min(next_look_, slot_plan_.next_turn(clock_.now()));
  for (const auto& process : processes_) next = std::min(next, process->deadline);
  return next;
}

// A worker with timeout 0 may be silent for any time, so it always counts as lively.
bool Crew::lively(Duration time) const {
  const TimePoint now = clock_.now();
  return std::all_of(processes_.begin(), processes_.end(), [&](const auto& process) {
    const bool judged =
        process->state == WorkerProcess::State::serving && process->timeout > Duration::zero();
    return !judged || now - process->moved <= time;
  });
}

}  // namespace reactor::prefork
