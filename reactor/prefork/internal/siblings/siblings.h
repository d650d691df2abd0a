// SPDX-License-Identifier: MIT
// Siblings: all that a worker does for the other workers, and together with them. Each part is a
// class of its own. Private to prefork.
//
//   BorrowedQueues  serves the queues of slots that nobody serves, or whose worker is stuck or full
//   Balancer        gives a new connection to the worker that has fewest
//   MailReceiver    takes the connections that others send to this worker's mailbox
//   HandOverSender  sends the connections of this worker to others when it retires
//   LastCall        empties the queues of an address that ends
#pragma once

#include <cstdint>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/control.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/balancer.h"
#include "reactor/prefork/internal/siblings/borrowed_queues.h"
#include "reactor/prefork/internal/siblings/hand_over_sender.h"
#include "reactor/prefork/internal/siblings/last_call.h"
#include "reactor/prefork/internal/siblings/mail_receiver.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

class Siblings {
 public:
  // How long to wait after Rest::waits.
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

  // From now on takes connections from other workers, and gives connections to them. `service` must
  // outlive this object. If `even_out` is set, each new connection goes to the worker that has
  // fewest.
  void serve(Service& service, bool even_out);
  // Acts on a message of the master: look, sibling or drop.
  void hear(const Message& message, UniqueFd descriptor);
  // Publishes for how many connections this worker has descriptors, and looks at the siblings.
  // Called at each beat.
  void beat();

  // Sends each connection to the slot `heir` as soon as it is idle. Calls `done` when the last one
  // is gone. Call it after serve().
  void hand_over(unsigned heir, Callback<void()> done);
  // Sends no more connections. The connections that are left are drained here. Call it after
  // hand_over().
  void finish_here();
  // Stops giving new connections away, and asks the siblings to send none. Connections that are in
  // this worker's mailbox already are still taken.
  void withdraw();
  // At the end of a drain: takes the connections that still wait in this worker's mailbox, or at
  // listeners that were dropped.
  [[nodiscard]] Rest take_rest();

 private:
  void count_descriptors();
  void learn(const Message& message, UniqueFd descriptor);
  void drop(unsigned group);

  ListenerTable& listeners_;
  Mailboxes& mailboxes_;
  const unsigned own_;
  Seat& seat_;
  Service* service_ = nullptr;
  MailReceiver receiver_;
  LastCall last_call_;
  BorrowedQueues borrowed_;
  Balancer balancer_;
  HandOverSender sender_;
};

}  // namespace reactor::prefork
