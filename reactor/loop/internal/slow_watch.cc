// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/slow_watch.h"

#include <atomic>
#include <utility>

namespace reactor {
namespace {

constexpr std::uint32_t kMeasuredTurns = 64;

}  // namespace

void SlowWatch::begin_batch(TimePoint now) noexcept {
  batch_start_ = now;
  calls_ = 0;
  current_ = nullptr;
  slowest_took_ = Duration::zero();
}

void SlowWatch::end_batch(TimePoint now) {
  const Dispatchable* const last = current_;
  leave();
  if (calls_ == 0) return;  // no callback took the time; the process was stopped, for example
  const Duration took = now - batch_start_;
  stats_.busy.record(static_cast<std::uint64_t>(took.count()));
  const bool was_measured = measured_turns_ > 0;
  if (was_measured) --measured_turns_;
  if (options_.slow_callback <= Duration::zero() || took < options_.slow_callback) return;
  stats_.slow.add();
  measured_turns_ = kMeasuredTurns;
  if (was_measured && slowest_took_ > Duration::zero()) {
    report(slowest_, slowest_took_);
  } else if (calls_ == 1 && last != nullptr) {
    report(last->describe(), took);
  } else {
    report(HandleInfo{}, took);
  }
}

void SlowWatch::enter_copied(const Dispatchable& who) noexcept {
  enter(who);
  remember(who.describe());
}

// A signal handler that asks meanwhile gets an empty description, not a half-written one.
void SlowWatch::remember(const HandleInfo& who) noexcept {
  current_ = nullptr;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  copy_.info = who;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  current_ = &copy_;
}

void SlowWatch::start_measuring() noexcept {
  measured_ = current_->describe();
  call_start_ = monotonic_now();
}

void SlowWatch::finish_measuring() noexcept {
  if (call_start_ == TimePoint{}) return;
  const Duration took = monotonic_now() - std::exchange(call_start_, TimePoint{});
  if (took <= slowest_took_) return;
  slowest_ = measured_;
  slowest_took_ = took;
}

void SlowWatch::report(const HandleInfo& who, Duration took) {
  log_.report(who, calls_, took, batch_start_ + took);
  if (options_.on_slow) options_.on_slow(who, took);
}

}  // namespace reactor
