// SPDX-License-Identifier: MIT
// Siblings: a worker's part in what the workers do for each other. It accepts from the queue of a
// slot that nobody serves, or whose worker is stuck or full; it gives a new connection to whoever
// has fewest, and never more than the limit says; it takes the connections that others send it
// (incoming.h), and sends its own to its successor (outgoing.h). Private to prefork.
//
// Stuck: for 20 ms the loop has not turned although connections wait. A loop that sleeps does not
// turn either, but a connection wakes it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/board.h"
#include "reactor/prefork/control.h"
#include "reactor/prefork/incoming.h"
#include "reactor/prefork/mailboxes.h"
#include "reactor/prefork/outgoing.h"
#include "reactor/prefork/slots.h"

namespace reactor::prefork {

class Siblings {
 public:
  static constexpr Duration kLookInterval = std::chrono::milliseconds(10);
  static constexpr Duration kStuck = std::chrono::milliseconds(20);

  Siblings(Loop& loop, Board& board, Slots& slots, Mailboxes& mailboxes, unsigned own_slot,
           std::uint32_t seat);
  Siblings(const Siblings&) = delete;
  Siblings& operator=(const Siblings&) = delete;

  // From here on connections come and go; `service` outlives this. `even_out`: new ones go to
  // whoever has fewest.
  void serve(Service& service, bool even_out);
  // What the master said.
  void hear(const Message& message, UniqueFd descriptor);
  // Says how many descriptors are free, and looks after the others.
  void beat();

  // Sends the connections to the slot `heir` as they become idle; `done` when the last is gone.
  void hand_over(unsigned heir, Callback<void()> done);
  // The same, but what is still here is drained here. After hand_over().
  void finish_here();
  // Takes what is here for us, and nothing more.
  void withdraw();
  // At the end of a drain: whether connections were still waiting for us, which are taken now.
  [[nodiscard]] bool take_rest();

 private:
  struct Sibling {
    std::uint64_t turns = 0;                 // of its loop, at the last look
    std::optional<TimePoint> suspect_since;  // they stand still although connections wait
    bool orphaned = false;                   // nobody serves it, the master says
    bool stuck = false;
    bool full = false;      // it accepts no more, as it may have or has descriptors for no more
    TimePoint next_line{};  // in the log, about it
    bool borrowed = false;  // we accept from its listeners, and take from its mailbox
  };

  void count_descriptors();
  // At each beat, and more often while one of them worries us.
  void look();
  [[nodiscard]] bool keep(const Socket& connection);
  [[nodiscard]] unsigned place_for_one(bool full);
  [[nodiscard]] bool send_to(unsigned slot, const Socket& connection);
  [[nodiscard]] bool lives_are_short(std::uint64_t own);
  void look_at(unsigned slot, Sibling& sibling);
  void say_stuck(unsigned slot);
  [[nodiscard]] bool may_say(unsigned slot);
  [[nodiscard]] bool connections_wait(unsigned slot) const;
  void settle(unsigned slot);
  [[nodiscard]] bool borrow(unsigned slot);
  void give_back(unsigned slot);
  void grow();

  Loop& loop_;
  Board& board_;
  Slots& slots_;
  Mailboxes& mailboxes_;
  const unsigned own_;
  Seat& seat_;
  Service* service_ = nullptr;
  Incoming incoming_;
  Outgoing outgoing_;
  std::vector<Sibling> siblings_;  // by slot; our own is unused
  Timer again_;
  TimePoint next_look_{};
  bool late_ = false;  // at the last look, by more than kLookInterval
  // Of the connections since then, how many have ended already?
  TimePoint epoch_{};
  std::uint64_t epoch_accepted_ = 0;
  std::uint64_t epoch_connections_ = 0;
  bool short_lives_ = false;
  bool even_out_ = true;
};

}  // namespace reactor::prefork
