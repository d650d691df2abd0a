// SPDX-License-Identifier: MIT
// Balancer: decides which worker serves a new connection. A connection stays in the worker that
// accepted it, or is sent to the mailbox of a worker that has fewer connections. Private to
// prefork.
#pragma once

#include <cstdint>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/borrowed_queues.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

class Balancer {
 public:
  Balancer(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes, BorrowedQueues& borrowed,
           unsigned own_slot, Seat& own_seat);
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  // Decides about each connection that `service` accepts from here on. If `even_out` is not set,
  // moves connections only while this worker is full.
  void start(Service& service, bool even_out);
  // Gives no more connections away.
  void stop();

 private:
  [[nodiscard]] bool keep(const Socket& connection);
  [[nodiscard]] unsigned least_loaded(bool full);
  [[nodiscard]] bool send_to(unsigned slot, const Socket& connection);
  [[nodiscard]] bool lives_are_short(std::uint64_t own);

  Loop& loop_;
  Scoreboard& scoreboard_;
  Mailboxes& mailboxes_;
  BorrowedQueues& borrowed_;
  const unsigned own_;
  Seat& seat_;
  Service* service_ = nullptr;
  bool even_out_ = true;
  // Measures how many of the connections that were accepted since `epoch_` have ended already.
  TimePoint epoch_{};
  std::uint64_t epoch_accepted_ = 0;
  std::uint64_t epoch_connections_ = 0;
  bool short_lives_ = false;
};

}  // namespace reactor::prefork
