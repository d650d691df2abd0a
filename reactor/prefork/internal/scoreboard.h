// SPDX-License-Identifier: MIT
// Scoreboard: the numbers that the master and its workers share in memory. Each worker writes to
// its own seat only, unless a member says otherwise. But if a client took over a worker, that
// worker can write to all of the memory. So each number is checked before it becomes an index, and
// the numbers decide only which worker gets a connection. Private to prefork.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"

namespace reactor::prefork {

// The values that one worker process publishes.
struct alignas(64) Seat {
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

  // Whether the worker accepts, but has all the connections that it may have at the same time. More
  // clients can wait in its queue until a connection ends.
  [[nodiscard]] bool full() const noexcept {
    return accepts.load() != 0 && most.get() > 0 && connections.get() >= most.get();
  }

  // Whether the worker accepts, but has all the connections that it has descriptors for.
  [[nodiscard]] bool starved() const noexcept {
    return accepts.load() != 0 && connections.get() >= capacity.get();
  }

  Counter connections;                    // how many it serves now
  Counter most;                           // the most that it may serve; 0: not known yet
  Counter capacity;                       // for how many it has descriptors, or kUnlimited
  std::atomic<std::uint32_t> accepts{0};  // 1: it is ready, and not ending
  LoopStats loop;                         // loop.turns is the heartbeat
};

// Returns the longest time between two turns of a healthy loop. `timeout`: how long a loop may go
// without a turn; not 0.
inline Duration beat_of(Duration timeout) noexcept {
  return std::min<Duration>(timeout / 4, std::chrono::seconds(1));
}

class Scoreboard {
 public:
  static constexpr unsigned kSlots = 1024;
  static constexpr unsigned kSeats = 4 * kSlots;  // a slot has several while its worker is replaced
  static constexpr std::uint32_t kNobody = 0xffffffff;

  // Maps the memory; seats that are not used cost none. Errors: those of mmap(2).
  [[nodiscard]] static Result<std::unique_ptr<Scoreboard>> make();
  ~Scoreboard();
  Scoreboard(const Scoreboard&) = delete;
  Scoreboard& operator=(const Scoreboard&) = delete;

  // Returns a free seat, cleared; kNobody if all are taken. Called by the master.
  [[nodiscard]] std::uint32_t take_seat() noexcept;
  void free_seat(std::uint32_t number) noexcept;
  [[nodiscard]] Seat& seat(std::uint32_t number) noexcept { return shared_->seats[number]; }

  // Sets the seat of the worker that serves a slot, or kNobody. Called by the master.
  void set_occupant(unsigned slot, std::uint32_t seat) noexcept {
    shared_->occupants[slot].store(seat + 1, std::memory_order_release);
  }
  // Returns null if nobody serves the slot.
  [[nodiscard]] Seat* occupant(unsigned slot) noexcept {
    if (slot >= kSlots) return nullptr;
    const std::uint32_t seat = shared_->occupants[slot].load(std::memory_order_acquire) - 1;
    return seat < kSeats ? &shared_->seats[seat] : nullptr;  // kNobody is out of range
  }
  // Returns how many connections the slot's worker has, plus those that are on their way to it.
  [[nodiscard]] std::uint64_t load(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    const auto on_the_way = static_cast<std::uint64_t>(std::max(coming(slot).load(), 0));
    const std::uint64_t there = seat == nullptr ? 0 : seat->connections.get();
    return there + std::min(on_the_way, Seat::kUnlimited - there);
  }
  // Whether the worker takes connections over and has a descriptor for one more. Ignores the
  // worker's limit of connections, because moving a connection between workers does not add to
  // their total.
  [[nodiscard]] bool has_room(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    if (seat == nullptr || seat->accepts.load() == 0) return false;
    return load(slot) < seat->capacity.get();
  }
  // Whether the worker has room for a new connection: like has_room(), but also heeds the worker's
  // limit.
  [[nodiscard]] bool takes_new(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    if (seat == nullptr || !has_room(slot)) return false;
    return seat->most.get() == 0 || load(slot) < seat->most.get();
  }
  // The number of connections that were sent to a slot and not taken yet. All workers write it.
  [[nodiscard]] std::atomic<std::int32_t>& coming(unsigned slot) noexcept {
    return shared_->coming[slot];
  }
  // The number of slots, with the retired ones. Set by the master.
  void set_slots(unsigned count) noexcept { shared_->slots.store(count); }
  [[nodiscard]] unsigned slots() const noexcept { return shared_->slots.load(); }

 private:
  struct Shared {
    std::atomic<std::uint32_t> slots{0};
    std::atomic<std::uint32_t> occupants[kSlots] = {};  // seat + 1; 0: nobody
    std::atomic<std::int32_t> coming[kSlots] = {};
    Seat seats[kSeats];
  };

  explicit Scoreboard(Shared* shared) noexcept : shared_(shared) {}

  Shared* shared_;
  bool taken_[kSeats] = {};  // as the master sees it
};

}  // namespace reactor::prefork
