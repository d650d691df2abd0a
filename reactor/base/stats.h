// SPDX-License-Identifier: MIT
// Counters of one loop: plain, fixed in size, placed by whoever wants to read them; also in memory
// that processes share. One writer (the loop's thread), any number of readers.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace reactor {

// A number that one thread counts and others may read at any time, without a locked instruction.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared between processes");

// How long something took, by powers of two: bucket 0 counts below 1 us, bucket i below 2^i us, the
// last all above. Histograms of several loops add up bucket by bucket.
struct LagHistogram {
  static constexpr std::size_t kBuckets = 24;
  std::array<Counter, kBuckets> buckets;

  void record(std::uint64_t nanoseconds) noexcept {
    const auto bucket = static_cast<std::size_t>(std::bit_width(nanoseconds / 1000));
    buckets[bucket < kBuckets ? bucket : kBuckets - 1].add();
  }
};

struct LoopStats {
  Counter turns;      // also the heartbeat: it moves with each turn
  Counter events;     // readiness events that the kernel reported
  Counter stale;      // of them, dropped because their handle had ended meanwhile
  Counter timers;     // timer callbacks
  Counter posted;     // posted calls run
  Counter signals;    // signal callbacks
  Counter children;   // child exits reported
  Counter wakeups;    // times another thread, or a signal, had to wake the loop
  Counter rebuilds;   // times the kernel's set was made anew
  Counter slow;       // batches that took longer than LoopOptions::slow_callback
  LagHistogram busy;  // from the end of a wait to the begin of the next: what a new event waits
};

}  // namespace reactor
