// SPDX-License-Identifier: MIT
// Board: what the master and its workers know of each other without asking, in memory that they
// share. Each seat has one writer, the worker that sits there, but for what says otherwise. Any
// worker can write all of it, though, if a client took it over: each number is checked before it is
// an index, and decides of nothing but where a connection goes. Private to prefork.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"

namespace reactor::prefork {

// One worker process.
struct alignas(64) Seat {
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

  // Connections may wait in its queue, which it won't accept until another one ends.
  [[nodiscard]] bool full() const noexcept {
    return accepts.load() != 0 && most.get() > 0 && connections.get() >= most.get();
  }

  // The same for want of descriptors.
  [[nodiscard]] bool starved() const noexcept {
    return accepts.load() != 0 && connections.get() >= capacity.get();
  }

  Counter connections;                    // that it serves
  Counter most;                           // as many as it accepts at once; 0: not known yet
  Counter capacity;                       // as many as it has descriptors for, or kUnlimited
  std::atomic<std::uint32_t> accepts{0};  // 1: ready and not on its way out
  LoopStats loop;                         // loop.turns is the heartbeat
};

// How often a loop turns at least, where silence of `timeout` (not 0) is the end of it.
inline Duration beat_of(Duration timeout) noexcept {
  return std::min<Duration>(timeout / 4, std::chrono::seconds(1));
}

class Board {
 public:
  static constexpr unsigned kSlots = 1024;
  static constexpr unsigned kSeats = 4 * kSlots;  // a slot has several while they are replaced
  static constexpr std::uint32_t kNobody = 0xffffffff;

  // Maps it; what is not used costs no memory. Errors: those of mmap(2).
  [[nodiscard]] static Result<std::unique_ptr<Board>> make();
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // A seat that nobody has, as new; kNobody where all are taken. For the master.
  [[nodiscard]] std::uint32_t take_seat() noexcept;
  void free_seat(std::uint32_t number) noexcept;
  [[nodiscard]] Seat& seat(std::uint32_t number) noexcept { return shared_->seats[number]; }

  // Who serves a slot. Written by the master.
  void set_occupant(unsigned slot, std::uint32_t seat) noexcept {
    shared_->occupants[slot].store(seat + 1, std::memory_order_release);
  }
  // Null: nobody does.
  [[nodiscard]] Seat* occupant(unsigned slot) noexcept {
    if (slot >= kSlots) return nullptr;
    const std::uint32_t seat = shared_->occupants[slot].load(std::memory_order_acquire) - 1;
    return seat < kSeats ? &shared_->seats[seat] : nullptr;  // kNobody is beyond
  }
  // Connections that the worker of a slot has, and those on their way to it.
  [[nodiscard]] std::uint64_t load(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    const auto on_the_way = static_cast<std::uint64_t>(std::max(coming(slot).load(), 0));
    const std::uint64_t there = seat == nullptr ? 0 : seat->connections.get();
    return there + std::min(on_the_way, Seat::kUnlimited - there);
  }
  // Whether it takes connections over, and has a descriptor for one more. A connection that exists
  // already may go beyond the limit: it is in one worker or in another.
  [[nodiscard]] bool has_room(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    if (seat == nullptr || seat->accepts.load() == 0) return false;
    return load(slot) < seat->capacity.get();
  }
  // Whether a new connection finds a place there, within the limit.
  [[nodiscard]] bool has_place(unsigned slot) noexcept {
    const Seat* const seat = occupant(slot);
    if (seat == nullptr || !has_room(slot)) return false;
    return seat->most.get() == 0 || load(slot) < seat->most.get();
  }
  // Connections that were sent to a slot and that nobody took yet; written by all.
  [[nodiscard]] std::atomic<std::int32_t>& coming(unsigned slot) noexcept {
    return shared_->coming[slot];
  }
  // How many slots there are, retired ones among them. Written by the master.
  void set_slots(unsigned count) noexcept { shared_->slots.store(count); }
  [[nodiscard]] unsigned slots() const noexcept { return shared_->slots.load(); }

 private:
  struct Shared {
    std::atomic<std::uint32_t> slots{0};
    std::atomic<std::uint32_t> occupants[kSlots] = {};  // seat + 1; 0 for none
    std::atomic<std::int32_t> coming[kSlots] = {};
    Seat seats[kSeats];
  };

  explicit Board(Shared* shared) noexcept : shared_(shared) {}

  Shared* shared_;
  bool taken_[kSeats] = {};  // the master's view
};

}  // namespace reactor::prefork
