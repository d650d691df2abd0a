// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/base/clock.h"
#include "reactor/loop/dispatchable.h"
#include "reactor/loop/internal/slow_log.h"
#include "reactor/loop/loop.h"

namespace reactor {

// SlowWatch finds callbacks that block the loop. That costs one store per call, to know which
// callback runs, and one clock reading per batch. If a batch takes too long, each call of the next
// turns is measured, so that the slow handle can be named if it is slow again. If the slow batch
// had only one call, its handle is named at once. Private to the loop.
//
// A target may be destroyed in its own callback, before the report. So forget() is called for a
// target that ends: it replaces the pointer to the target by a copy of the description. Nothing
// calls forget() for a timer node, because the node is disarmed before its callback runs. So its
// description is copied before the call.
class SlowWatch {
 public:
  // `options` and `stats` must outlive this object.
  SlowWatch(LoopOptions& options, LoopStats& stats) : options_(options), stats_(stats) {}

  // Notes that the callback of `who` is called next.
  void enter(const Dispatchable& who) noexcept {
    ++calls_;
    if (measures()) [[unlikely]] {
      enter_measured(who);
    } else {
      enter_plainly(who);
    }
  }
  // Does the same for a target that may be destroyed in its callback without a call of forget().
  void enter_copied(const Dispatchable& who) noexcept;
  // These are the parts of enter(), for a batch of I/O: each call then costs one store.
  [[nodiscard]] bool measures() const noexcept { return measured_turns_ > 0; }
  void count_calls(std::size_t calls) noexcept { calls_ += calls; }
  void enter_plainly(const Dispatchable& who) noexcept { current_ = &who; }
  void enter_measured(const Dispatchable& who) noexcept {
    finish_measuring();
    current_ = &who;
    start_measuring();
  }
  // Notes that no callback runs until the next enter().
  void leave() noexcept {
    if (measured_turns_ > 0) [[unlikely]]
      finish_measuring();
    current_ = nullptr;
  }
  // Call it before `who` is destroyed, perhaps in its own callback. Keeps a copy of its description
  // if `who` was called last.
  void forget(const Dispatchable& who) noexcept {
    if (current_ == &who) [[unlikely]]
      remember(who.describe());
  }

  // Call begin_batch() before the first call of a batch and end_batch() after its last. end_batch()
  // may call the user's on_slow.
  void begin_batch(TimePoint now) noexcept;
  void end_batch(TimePoint now);

  [[nodiscard]] HandleInfo current() const noexcept {
    const Dispatchable* const who = current_;
    return who != nullptr ? who->describe() : HandleInfo{};
  }

 private:
  // A Copy holds the description of a target that may no longer exist.
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
  const Dispatchable* volatile current_ = nullptr;  // the last one called; signal handlers read it
  Copy copy_;
  std::size_t calls_ = 0;             // in this batch
  std::uint32_t measured_turns_ = 0;  // how many more turns measure each call
  TimePoint batch_start_{};
  TimePoint call_start_{};
  HandleInfo measured_;  // the call that is being measured
  HandleInfo slowest_;   // the slowest measured call of this batch
  Duration slowest_took_{0};
};

}  // namespace reactor
