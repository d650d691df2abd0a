// SPDX-License-Identifier: MIT
// Board: what the master and its workers know of each other without asking, in memory that they
// share. Each seat has one writer, the worker that sits there, but for what says otherwise. Private
// to prefork.
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
  // Connections may wait in its queue, which it won't accept until another one ends.
  [[nodiscard]] bool full() const noexcept {
    return accepts.load() && most.get() > 0 && connections.get() >= most.get();
  }

  Counter connections;               // that it serves
  Counter most;                      // as many as it serves at once; 0: not known yet
  std::atomic<bool> accepts{false};  // ready and not on its way out
  LoopStats loop;                    // loop.turns is the heartbeat
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
    const std::uint32_t seat = shared_->occupants[slot].load(std::memory_order_acquire);
    return seat == 0 ? nullptr : &shared_->seats[seat - 1];
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
