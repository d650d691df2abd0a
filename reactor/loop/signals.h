// SPDX-License-Identifier: MIT
// Signals: brings signals into the loop through a self-pipe. The only file pair outside prefork/
// that calls sigaction. Private to the loop.
#pragma once

#include <cstdint>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/poll_target.h"

namespace reactor {

class Core;
struct SignalSlot;

// One per Loop. A signal number belongs to one loop of the process at a time; loops of several
// threads may claim numbers at the same time. The handler only notes the signal and writes one
// byte; in a forked child it writes nothing.
class Signals final : public PollTarget {
 public:
  explicit Signals(Core& core);
  // Waits for handlers that run in other threads at this moment, for a second at most.
  ~Signals();

  // Errors: Errc::signal_taken, those of pipe(2), sigaction(2) and of attaching the pipe.
  std::error_code add(SignalSlot& slot);
  void remove(SignalSlot& slot) noexcept;

  // Calls the watchers of the signals that came. One call throws: the rest is left for the next
  // turn.
  void dispatch();
  [[nodiscard]] bool pending() const noexcept { return due_ > 0; }

  // In a forked child: the same watchers, by a pipe and handlers of its own. A signal that came to
  // the child since the fork is due.
  std::error_code reopen();
  // Nothing else, while detached.
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
  std::uint32_t number_;  // no two loops of a process have the same
  bool settled_ = true;   // no handler may still know the pipe
  UniqueFd read_end_, write_end_;
  std::vector<SignalSlot*> slots_;  // in the order in which they were made
  std::size_t due_ = 0;             // of them, to be called
};

// For a forked child that is about to call exec: no signal is blocked, handled or ignored any more.
// All are to be blocked when it is called, or the parent's handlers may run. Async-signal-safe.
void reset_signals() noexcept;

}  // namespace reactor
