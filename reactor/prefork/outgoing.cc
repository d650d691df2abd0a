// SPDX-License-Identifier: MIT
#include "reactor/prefork/outgoing.h"

#include <algorithm>
#include <string>
#include <utility>

#include "reactor/base/log.h"

namespace reactor::prefork {

Outgoing::Outgoing(Loop& loop, Board& board, Mailboxes& mailboxes, Incoming& incoming,
                   unsigned own_slot, const Seat& own_seat)
    : loop_(loop),
      board_(board),
      mailboxes_(mailboxes),
      incoming_(incoming),
      own_(own_slot),
      seat_(own_seat) {}

void Outgoing::start(Service& service, unsigned heir, Callback<void()> done) {
  service_ = &service;
  heir_ = heir;
  sent_to_.assign(Board::kSlots, false);
  done_ = std::move(done);
  looks_ = loop_.every(kLookInterval, [this] { look(); });
  looks_.unref();
  service.hand_over(*this, [this] {
    none_left_ = true;
    look();
  });
}

void Outgoing::finish_here() {
  service_->drain([this] {
    none_left_ = true;
    look();
  });
}

// ---- There ----

Successor::Answer Outgoing::take(int fd, std::span<const std::byte> state) noexcept {
  if (loop_.now() < hold_until_) return Answer::busy;
  const std::optional<unsigned> taker = find_taker();
  if (!taker) return Answer::busy;
  board_.coming(*taker).fetch_add(1);
  const Result<bool> sent = mailboxes_.send(*taker, fd, state);
  if (sent && *sent) {
    sent_to_[*taker] = true;
    last_sent_ = loop_.now();
    return Answer::taken;
  }
  board_.coming(*taker).fetch_sub(1);
  if (!sent) return Answer::never;
  wait_for_room_in_mailbox(*taker);
  return Answer::busy;
}

// The heir if it has room, else another worker. The workers of another program, which takes our
// slot over, are not on this board: whether they have room shows when they take nothing.
std::optional<unsigned> Outgoing::find_taker() const {
  if (board_.occupant(heir_) == &seat_ || board_.has_room(heir_)) return heir_;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    const bool known = mailboxes_.into(slot) >= 0;
    if (slot != own_ && slot != heir_ && known && board_.has_room(slot)) return slot;
  }
  return std::nullopt;
}

void Outgoing::wait_for_room_in_mailbox(unsigned slot) {
  if (room_ && room_.active()) return;
  Result<IoWatcher> room = loop_.watch(mailboxes_.into(slot), Interest::write, [this](Ready) {
    room_.stop();
    service_->retry_hand_over();
  });
  if (room) room_ = std::move(*room);  // else the service offers again by itself
}

// ---- And back ----

void Outgoing::look() {
  bool waiting = false;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    if (sent_to_[slot]) sent_to_[slot] = mailboxes_.waits(slot);
    waiting = waiting || sent_to_[slot];
  }
  if (waiting) {
    if (loop_.now() - last_sent_ >= kPatience) take_back();
  } else if (none_left_ && done_) {
    looks_.stop();
    std::exchange(done_, {})();
  }
}

void Outgoing::take_back() {
  int count = 0;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    if (sent_to_[slot]) count += incoming_.take_all(slot);
  }
  if (count == 0) return;
  if (service_->connections() > 0) none_left_ = false;
  REACTOR_LOG(info, std::to_string(count) +
                        " connections, which no worker has room for, go on in "
                        "worker " +
                        std::to_string(own_));
  last_sent_ = loop_.now();
  hold_until_ = saturating_add(loop_.now(), pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
}

}  // namespace reactor::prefork
