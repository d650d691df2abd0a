// SPDX-License-Identifier: MIT
// LoopStats has the counters of one loop. It is plain memory of fixed size, which the program may
// provide (LoopOptions::stats) and which processes may share. Only the loop's thread writes; any
// number of threads read.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace reactor {

// Counter is a number that one thread changes and any thread may read at any time. It needs no
// locked instruction.
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

// LagHistogram counts times by powers of two. Bucket 0 counts times below 1 us, bucket i those from
// 2^(i-1) us to below 2^i us, and the last bucket counts everything longer. Histograms of several
// loops can be added bucket by bucket.
struct LagHistogram {
  static constexpr std::size_t kBuckets = 24;
  std::array<Counter, kBuckets> buckets;

  void record(std::uint64_t nanoseconds) noexcept {
    const auto bucket = static_cast<std::size_t>(std::bit_width(nanoseconds / 1000));
    buckets[bucket < kBuckets ? bucket : kBuckets - 1].add();
  }
};

struct LoopStats {
  Counter turns;      // turns of the loop; also its heartbeat, as it changes with each turn
  Counter events;     // readiness events that the kernel reported
  Counter stale;      // those of them that were dropped because their handle had ended
  Counter timers;     // calls of timer callbacks
  Counter posted;     // posted callbacks that were run
  Counter signals;    // calls of signal callbacks
  Counter children;   // exits of children that were reported
  Counter wakeups;    // times another thread, or a signal, had to wake the loop
  Counter rebuilds;   // times the kernel's set was rebuilt
  Counter slow;       // batches that took longer than LoopOptions::slow_callback
  LagHistogram busy;  // from the end of a wait to the start of the next: how long a new event waits
};

}  // namespace reactor
