// SPDX-License-Identifier: MIT
// BorrowedQueues: this worker also serves the queues of slots that no other worker serves now. A
// slot's queue is its listeners and its mailbox. Private to prefork.
//
// A slot is borrowed while it has no worker that is ready, and while its worker is stuck or full.
// The states of a sibling:
//
//   moving -- no turn although connections wait --> suspect -- kStuck later --> stuck
//     ^                                                |                          |
//     +------------- a turn, or it is full ------------+--------------------------+
//
// A loop that sleeps does not turn either, but a connection wakes it. So only a loop that does not
// turn although connections wait is stuck.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/mail_receiver.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

class BorrowedQueues {
 public:
  static constexpr Duration kLookInterval = std::chrono::milliseconds(10);
  static constexpr Duration kStuck = std::chrono::milliseconds(20);
  // How long after a failure it tries again to borrow from a slot.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  BorrowedQueues(Loop& loop, Scoreboard& scoreboard, ListenerTable& listeners, Mailboxes& mailboxes,
                 MailReceiver& receiver, unsigned own_slot);
  BorrowedQueues(const BorrowedQueues&) = delete;
  BorrowedQueues& operator=(const BorrowedQueues&) = delete;

  // Borrows for `service` from here on, which outlives this.
  void start(Service& service);
  // Gives all queues back, and borrows no more.
  void stop();
  // Borrows no more, and gives nothing back: `service` ends with the process.
  void freeze();
  // Adds entries for slots that were added since the last call.
  void grow();

  // Looks at each sibling, and borrows its queue or gives it back. Looks again soon while one may
  // be stuck. Called at each beat.
  void look();
  // Does the same if the last look was kLookInterval ago.
  void look_if_due() {
    if (loop_.now() >= next_look_) look();
  }
  // Makes sure that the next look is soon.
  void look_soon() { again_.start(kLookInterval); }
  // Looks only for slots that nobody serves. It reads nothing but the scoreboard, because when many
  // workers end at once, each of them causes such a look.
  void look_for_vacancies();

  [[nodiscard]] bool is_stuck(unsigned slot) const noexcept { return siblings_[slot].stuck; }

 private:
  struct Sibling {
    std::uint64_t turns = 0;                 // of its loop, at the last look
    std::optional<TimePoint> suspect_since;  // no turn since then, although connections wait
    bool vacant = false;                     // nobody serves its slot
    bool stuck = false;
    bool full = false;      // it has all the connections that it may have, or has descriptors for
    TimePoint next_line{};  // when the log may name it again
    bool borrowed = false;  // this worker serves its queue
  };

  void look_at(unsigned slot, Sibling& sibling);
  [[nodiscard]] bool connections_wait(unsigned slot) const;
  void settle(unsigned slot);
  [[nodiscard]] bool borrow(unsigned slot);
  void give_back(unsigned slot);
  void say_stuck(unsigned slot);
  [[nodiscard]] bool may_say(unsigned slot);

  Loop& loop_;
  Scoreboard& scoreboard_;
  ListenerTable& listeners_;
  Mailboxes& mailboxes_;
  MailReceiver& receiver_;
  const unsigned own_;
  Service* service_ = nullptr;
  std::vector<Sibling> siblings_;  // by slot; our own entry is unused
  Timer again_;
  TimePoint next_look_{};
  bool frozen_ = false;
  bool late_ = false;  // the last look was late by more than kLookInterval
};

}  // namespace reactor::prefork
