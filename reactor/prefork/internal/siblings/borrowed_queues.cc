// SPDX-License-Identifier: MIT
// BorrowedQueues: look() reads the seat of each sibling on the scoreboard. Then settle() borrows
// the sibling's listeners and mailbox, or gives them back.
#include "reactor/prefork/internal/siblings/borrowed_queues.h"

#include <string>

#include "reactor/base/log.h"

namespace reactor::prefork {

BorrowedQueues::BorrowedQueues(Loop& loop, Scoreboard& scoreboard, ListenerTable& listeners,
                               Mailboxes& mailboxes, MailReceiver& receiver, unsigned own_slot)
    : loop_(loop),
      scoreboard_(scoreboard),
      listeners_(listeners),
      mailboxes_(mailboxes),
      receiver_(receiver),
      own_(own_slot),
      again_(loop.timer([this] { look(); })) {
  again_.unref();
  grow();
}

void BorrowedQueues::grow() {
  while (siblings_.size() < mailboxes_.count()) siblings_.emplace_back();
}

void BorrowedQueues::start(Service& service) {
  service_ = &service;
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) settle(slot);
}

void BorrowedQueues::stop() {
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    siblings_[slot].vacant = siblings_[slot].stuck = siblings_[slot].full = false;
    settle(slot);
  }
  freeze();
}

void BorrowedQueues::freeze() {
  frozen_ = true;
  again_.stop();
}

// ---- Looking ----

void BorrowedQueues::look_for_vacancies() {
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    siblings_[slot].vacant = scoreboard_.occupant(slot) == nullptr;
    settle(slot);
  }
}

void BorrowedQueues::look() {
  if (frozen_) return;
  const TimePoint now = loop_.start_time();
  const bool late = now - next_look_ > kLookInterval;
  // If this look is late, perhaps all workers were stopped in the meantime (SIGSTOP, the cgroup
  // freezer), so earlier suspicions do not count. But if the look before was late, too, this worker
  // is only busy, and its suspicions count.
  if (late && !late_) {
    for (Sibling& sibling : siblings_) sibling.suspect_since.reset();
  }
  late_ = late;
  next_look_ = saturating_add(now, kLookInterval);
  bool worried = false;
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    if (slot == own_) continue;
    Sibling& sibling = siblings_[slot];
    look_at(slot, sibling);
    worried = worried || sibling.suspect_since;
  }
  if (worried) look_soon();
}

void BorrowedQueues::look_at(unsigned slot, Sibling& sibling) {
  const TimePoint now = loop_.start_time();
  Seat* const seat = scoreboard_.occupant(slot);
  const std::uint64_t turns = seat == nullptr ? 0 : seat->loop.turns.get();
  const bool moves = seat == nullptr || turns != sibling.turns;
  sibling.turns = turns;
  sibling.vacant = seat == nullptr;
  sibling.full = seat != nullptr && (seat->full() || seat->starved());
  if (moves || sibling.full || (!sibling.stuck && !connections_wait(slot))) {
    sibling.suspect_since.reset();
    sibling.stuck = false;
  } else if (!sibling.suspect_since) {
    sibling.suspect_since = now;
  } else if (!sibling.stuck && now - *sibling.suspect_since >= kStuck) {
    sibling.stuck = true;
    say_stuck(slot);
  }
  settle(slot);
}

bool BorrowedQueues::connections_wait(unsigned slot) const {
  if (mailboxes_.waits(slot)) return true;
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    const int listener = listeners_.listener(slot, group);
    if (listener < 0) continue;
    const Result<std::size_t> waiting = Socket::queue_length(listener);
    if (waiting && *waiting > 0) return true;
  }
  return false;
}

// ---- Borrowing ----

// Borrows the slot's queue or gives it back, whichever is due. If that fails, tries again soon. The
// master sends the receiving end of a new slot's mailbox last, so a slot without that end is not
// complete yet and is left alone.
void BorrowedQueues::settle(unsigned slot) {
  Sibling& sibling = siblings_[slot];
  const bool known = mailboxes_.out_of(slot) >= 0;
  if (slot == own_ || !known || service_ == nullptr || frozen_) return;
  const bool wanted = sibling.vacant || sibling.stuck || sibling.full;
  if (sibling.borrowed == wanted) return;
  if (!wanted) give_back(slot);
  sibling.borrowed = wanted && borrow(slot);
  if (wanted && !sibling.borrowed) again_.start(kRetryDelay);
}

bool BorrowedQueues::borrow(unsigned slot) {
  Result<> done = receiver_.open(slot);
  for (unsigned group = 0; group < listeners_.groups() && done; ++group) {
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) done = service_->borrow(listener);  // else all slots share one socket
  }
  if (done) return true;
  if (may_say(slot)) {
    REACTOR_LOG(error, "can't accept for worker " + std::to_string(slot) + ": " +
                           done.error().message() + "; trying again");
  }
  give_back(slot);
  return false;
}

void BorrowedQueues::give_back(unsigned slot) {
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) service_->give_back(listener);
  }
  receiver_.close(slot);
}

// ---- Log lines ----

void BorrowedQueues::say_stuck(unsigned slot) {
  if (!may_say(slot)) return;
  REACTOR_LOG(info,
              "worker " + std::to_string(slot) + " is stuck; this worker accepts from its queue");
}

// Allows one log line a minute per slot, because borrowing is tried again all the time while it
// fails.
bool BorrowedQueues::may_say(unsigned slot) {
  Sibling& sibling = siblings_[slot];
  if (loop_.now() < sibling.next_line) return false;
  sibling.next_line = loop_.now() + kBetweenLines;
  return true;
}

}  // namespace reactor::prefork
