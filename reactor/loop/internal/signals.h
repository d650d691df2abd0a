// SPDX-License-Identifier: MIT
// Signals brings signals into the loop through a self-pipe. Outside prefork/, only this file pair
// calls sigaction(). Private to the loop.
#pragma once

#include <cstdint>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/poll_target.h"

namespace reactor {

class Core;
struct SignalState;

// Each Loop has one Signals object. A signal number belongs to one loop of the process at a time.
// Loops of several threads may claim numbers concurrently. The handler only notes the signal and
// writes one byte to the pipe; in a forked child it writes nothing.
class Signals final : public PollTarget {
 public:
  explicit Signals(Core& core);
  // Waits for handlers that are running in other threads, at most one second per signal number.
  ~Signals();

  // Errors: Errc::signal_taken, those of pipe(2), sigaction(2) and of attaching the pipe.
  std::error_code add(SignalState& state);
  void remove(SignalState& state) noexcept;

  // Calls the watchers of the signals that arrived. If a callback throws, the rest are left for the
  // next turn.
  void dispatch();
  [[nodiscard]] bool pending() const noexcept { return due_ > 0; }

  // Call in a forked child: keeps the watchers, but gives the child a pipe and handlers of its own.
  // Signals that arrived in the child since the fork become due.
  std::error_code reopen();
  // Closes the pipe and does nothing else. Allowed only while detached.
  void close() noexcept {
    read_end_.reset();
    write_end_.reset();
  }

  void on_ready(Ready ready) override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

 private:
  std::error_code open_pipe();
  std::error_code claim(int number);
  std::error_code take_over(int number, bool inherited);
  void give_back(int number) noexcept;
  void mark_due(int number) noexcept;

  Core& core_;
  std::uint32_t number_;  // differs from that of every other loop of the process
  bool settled_ = true;   // false if a handler may still know the pipe
  UniqueFd read_end_, write_end_;
  std::vector<SignalState*> states_;  // in the order in which they were made
  std::size_t due_ = 0;               // how many of them are to be called
};

// Resets all signals to their default action and unblocks them, for a forked child that is about to
// call exec. All signals must be blocked when it is called; otherwise the parent's handlers may
// run. Async-signal-safe.
void reset_signals() noexcept;

}  // namespace reactor
