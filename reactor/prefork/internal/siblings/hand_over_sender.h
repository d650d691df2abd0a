// SPDX-License-Identifier: MIT
// HandOverSender: sends the connections of a retiring worker to the mailboxes of workers that have
// room. This worker does not end while a connection that it sent waits in a mailbox. If no worker
// takes the connection out, it comes back and is served here. Private to prefork.
//
//   served here -- idle, room elsewhere --> in a mailbox --> served there
//        ^                                       |
//        +--- nobody took it for kPatience ------+
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/last_call.h"
#include "reactor/prefork/internal/siblings/mail_receiver.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

class HandOverSender final : private HandOverTarget {
 public:
  static constexpr Duration kLookInterval = std::chrono::milliseconds(20);
  // How long a sent connection may wait in a mailbox before it comes back. The time doubles
  // whenever that happens, so that a worker that is only slow gets connections too.
  static constexpr Duration kPatience = std::chrono::milliseconds(250);
  // After connections came back, nothing is sent for this time. The pause doubles whenever that
  // happens, up to kLongestPause.
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(8);

  HandOverSender(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes, MailReceiver& receiver,
                 const LastCall& last_call, unsigned own_slot, const Seat& own_seat);
  HandOverSender(const HandOverSender&) = delete;
  HandOverSender& operator=(const HandOverSender&) = delete;

  // Sends the connections of `service` to the slot `heir`, or to another one if `heir` has no room.
  // Calls `done` when each connection is over or was taken by another worker, and the LastCall can
  // bring no more. Until then the loop keeps running. Call start() only once.
  void start(Service& service, unsigned heir, Callback<void()> done);
  // Sends no more connections. The connections that are left are drained here. Call it after
  // start().
  void finish_here();

 private:
  [[nodiscard]] HandOverReply send(int fd, std::span<const std::byte> state) noexcept override;
  [[nodiscard]] std::optional<unsigned> find_taker() const;
  void wait_for_room_in_mailbox(unsigned slot);
  void look();
  [[nodiscard]] bool any_waits();
  void take_back();

  Loop& loop_;
  Scoreboard& scoreboard_;
  Mailboxes& mailboxes_;
  MailReceiver& receiver_;
  const LastCall& last_call_;
  const unsigned own_;
  const Seat& seat_;
  Service* service_ = nullptr;
  Callback<void()> done_;
  unsigned heir_ = 0;
  std::vector<bool> sent_to_;  // the slots whose mailboxes may hold connections of ours
  Timer looks_;
  std::vector<IoWatcher> rooms_;  // by slot: for room in a mailbox that was full
  TimePoint last_sent_{};
  TimePoint hold_until_{};
  Duration pause_ = kFirstPause;
  Duration patience_ = kPatience;
  bool ended_ = false;  // the service has said that it has no connection; any later one came back
};

}  // namespace reactor::prefork
