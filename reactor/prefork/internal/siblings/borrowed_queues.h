// SPDX-License-Identifier: MIT
// BorrowedQueues: serves, in this worker, the queues of other slots that nobody serves now. The
// queue of a slot is its listeners and its mailbox. Private to prefork.
//
// A worker borrows a slot's queue while no worker of that slot is ready, and while the slot's
// worker (the sibling) is stuck or full. The states of a sibling:
//
//   turning -- no turn although connections wait --> suspect -- kStuck later --> stuck
//      ^                                                |                          |
//      +------------- a turn, or it is full ------------+--------------------------+
//
// An idle loop sleeps and does not turn, but a new connection wakes it. So a sibling counts as
// stuck only if its loop does not turn although connections wait.
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
  // The time from a failed attempt to borrow from a slot to the next one.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  BorrowedQueues(Loop& loop, Scoreboard& scoreboard, ListenerTable& listeners, Mailboxes& mailboxes,
                 MailReceiver& receiver, unsigned own_slot);
  BorrowedQueues(const BorrowedQueues&) = delete;
  BorrowedQueues& operator=(const BorrowedQueues&) = delete;

  // Borrows for `service` from now on. `service` must outlive this object.
  void start(Service& service);
  // Gives all queues back, and borrows none from now on.
  void stop();
  // Borrows no more queues, and gives none back: `service` goes on serving the borrowed ones until
  // the process ends.
  void freeze();
  // Adds entries for slots that were added since the last call.
  void grow();

  // Looks at each sibling, and borrows its queue or gives it back. If a sibling may be stuck, looks
  // again soon. Called at each beat.
  void look();
  // Calls look() if the last look was kLookInterval ago or longer.
  void look_if_due() {
    if (loop_.now() >= next_look_) look();
  }
  // Makes sure that the next look is soon.
  void look_soon() { again_.start(kLookInterval); }
  // Looks only for slots that nobody serves. Reads nothing but the scoreboard, because if many
  // workers end at the same time, each of them causes such a look.
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
