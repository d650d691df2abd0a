// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/base/clock.h"
#include "reactor/loop/dispatchable.h"
#include "reactor/loop/loop.h"
#include "reactor/loop/slow_log.h"

namespace reactor {

// Finds the callbacks that hold a loop up. Knowing who runs costs one store a call; the clock is
// read once a batch. A batch that took too long makes the next turns measure each call, and so
// names the culprit when it strikes again; a batch of one call names it at once. Private to the
// loop.
//
// A target may end in its own callback, and the report comes later. So a pointer to it is kept only
// while it lives: the end of the target calls forget(), which puts a copy of its description in the
// pointer's place. Nothing calls forget() for a timer node, which is disarmed before its callback
// runs: its description is copied beforehand.
class SlowWatch {
 public:
  // `options` and `stats` outlive this.
  SlowWatch(LoopOptions& options, LoopStats& stats) : options_(options), stats_(stats) {}

  void enter(const Dispatchable& who) noexcept {
    ++calls_;
    if (measures()) [[unlikely]] {
      enter_measured(who);
    } else {
      enter_plainly(who);
    }
  }
  // The same for a target that may end in its callback without forget().
  void enter_copied(const Dispatchable& who) noexcept;
  // The same in parts, for a batch of I/O: what each call costs is one store.
  [[nodiscard]] bool measures() const noexcept { return measured_turns_ > 0; }
  void count_calls(std::size_t calls) noexcept { calls_ += calls; }
  void enter_plainly(const Dispatchable& who) noexcept { current_ = &who; }
  void enter_measured(const Dispatchable& who) noexcept {
    finish_measuring();
    current_ = &who;
    start_measuring();
  }
  // Nobody runs until the next enter().
  void leave() noexcept {
    if (measured_turns_ > 0) [[unlikely]]
      finish_measuring();
    current_ = nullptr;
  }
  // `who` goes, maybe in its own callback: what is known of it stays.
  void forget(const Dispatchable& who) noexcept {
    if (current_ == &who) [[unlikely]]
      remember(who.describe());
  }

  // Before the first call of a batch, and after its last. end_batch() may call the user's on_slow.
  void begin_batch(TimePoint now) noexcept;
  void end_batch(TimePoint now);

  [[nodiscard]] HandleInfo current() const noexcept {
    const Dispatchable* const who = current_;
    return who != nullptr ? who->describe() : HandleInfo{};
  }

 private:
  // Stands for a target that may be gone.
  class Copy final : public Dispatchable {
   public:
    [[nodiscard]] HandleInfo describe() const noexcept override { return info; }
    HandleInfo info;
  };

  void remember(const HandleInfo& who) noexcept;
  void start_measuring() noexcept;
  void finish_measuring() noexcept;
  void report(const HandleInfo& who, Duration took);

  LoopOptions& options_;
  LoopStats& stats_;
  SlowLog log_;
  const Dispatchable* volatile current_ = nullptr;  // who was called last; for signal handlers too
  Copy copy_;
  std::size_t calls_ = 0;             // in this batch
  std::uint32_t measured_turns_ = 0;  // how many more turns measure each call
  TimePoint batch_start_{};
  TimePoint call_start_{};
  HandleInfo measured_;  // of the call being measured
  HandleInfo slowest_;   // of the measured calls of this batch
  Duration slowest_took_{0};
};

}  // namespace reactor
