// SPDX-License-Identifier: MIT
// Siblings: what a worker does for the other workers. It accepts from the queue of a slot that
// nobody serves, or whose worker is stuck or full. It gives a new connection to the worker that has
// fewest, within the limit of that worker. It takes the connections that others send it
// (incoming.h), and sends its own to its successor (outgoing.h). Private to prefork.
//
// A worker is stuck if its loop has not turned for 20 ms although connections wait. A loop that
// sleeps does not turn either, but a connection wakes it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/control.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/hand_over_sender.h"
#include "reactor/prefork/internal/siblings/last_call.h"
#include "reactor/prefork/internal/siblings/mail_receiver.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

class Siblings {
 public:
  static constexpr Duration kLookInterval = std::chrono::milliseconds(10);
  static constexpr Duration kStuck = std::chrono::milliseconds(20);
  // How long after a failure it tries again to borrow from a slot.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  // What take_rest() found.
  enum class Rest : std::uint8_t {
    none,
    came,   // connections that have to be drained too
    waits,  // connections that can't be taken now: call it again after kRetryDelay
  };

  Siblings(Loop& loop, Scoreboard& scoreboard, ListenerTable& listeners, Mailboxes& mailboxes,
           unsigned own_slot, std::uint32_t seat);
  Siblings(const Siblings&) = delete;
  Siblings& operator=(const Siblings&) = delete;

  // Lets connections come and go from here on. `service` outlives this. `even_out`: new connections
  // go to the worker that has fewest.
  void serve(Service& service, bool even_out);
  // Acts on a message of the master: look, sibling or drop.
  void hear(const Message& message, UniqueFd descriptor);
  // Publishes how many descriptors are free, and looks after the siblings.
  void beat();

  // Sends the connections to the slot `heir` as they become idle. Calls `done` when the last one is
  // gone.
  void hand_over(unsigned heir, Callback<void()> done);
  // Sends no more connections: those that are left are drained here. Call it after hand_over().
  void finish_here();
  // Stops giving new connections away, and asks the siblings to send none. Connections that are in
  // this worker's mailbox already are still taken.
  void withdraw();
  // At the end of a drain: takes the connections that still wait in this worker's mailbox, or at
  // listeners that were dropped.
  [[nodiscard]] Rest take_rest();

 private:
  struct Sibling {
    std::uint64_t turns = 0;                 // of its loop, at the last look
    std::optional<TimePoint> suspect_since;  // no turn since then, although connections wait
    bool vacant = false;                     // nobody serves it
    bool stuck = false;
    bool full = false;      // it has all the connections that it may have, or has descriptors for
    TimePoint next_line{};  // when the log may name it again
    bool borrowed = false;  // we accept from its listeners, and take from its mailbox
  };

  void count_descriptors();
  // Called at each beat, and more often while connections come or a sibling may be stuck.
  void look();
  [[nodiscard]] bool keep(const Socket& connection);
  [[nodiscard]] unsigned place_for_one(bool full);
  [[nodiscard]] bool send_to(unsigned slot, const Socket& connection);
  [[nodiscard]] bool lives_are_short(std::uint64_t own);
  void look_at(unsigned slot, Sibling& sibling);
  void look_for_vacancies();
  void say_stuck(unsigned slot);
  [[nodiscard]] bool may_say(unsigned slot);
  [[nodiscard]] bool connections_wait(unsigned slot) const;
  void settle(unsigned slot);
  [[nodiscard]] bool borrow(unsigned slot);
  void give_back(unsigned slot);
  void learn(const Message& message, UniqueFd descriptor);
  void drop(unsigned group);
  void grow();

  Loop& loop_;
  Scoreboard& scoreboard_;
  ListenerTable& listeners_;
  Mailboxes& mailboxes_;
  const unsigned own_;
  Seat& seat_;
  Service* service_ = nullptr;
  MailReceiver receiver_;
  LastCall last_call_;
  HandOverSender sender_;
  std::vector<Sibling> siblings_;  // by slot; our own entry is unused
  Timer again_;
  TimePoint next_look_{};
  bool leaving_ = false;  // from withdraw() on
  bool late_ = false;     // the last look was late by more than kLookInterval
  // Measures how many of the connections that were accepted since `epoch_` have ended already.
  TimePoint epoch_{};
  std::uint64_t epoch_accepted_ = 0;
  std::uint64_t epoch_connections_ = 0;
  bool short_lives_ = false;
  bool even_out_ = true;
};

}  // namespace reactor::prefork
