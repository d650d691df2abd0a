// SPDX-License-Identifier: MIT
// HandOverSender: the service offers connections to send(), and look() watches every kLookInterval
// whether the mailboxes become empty. This worker stays responsible for a connection until another
// worker takes it out of the mailbox. If none does, take_back() takes it out again.
#include "reactor/prefork/internal/siblings/hand_over_sender.h"

#include <algorithm>
#include <string>
#include <utility>

#include "reactor/base/log.h"

namespace reactor::prefork {

HandOverSender::HandOverSender(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes,
                               MailReceiver& receiver, const LastCall& last_call, unsigned own_slot,
                               const Seat& own_seat)
    : loop_(loop),
      scoreboard_(scoreboard),
      mailboxes_(mailboxes),
      receiver_(receiver),
      last_call_(last_call),
      own_(own_slot),
      seat_(own_seat) {}

void HandOverSender::start(Service& service, unsigned heir, Callback<void()> done) {
  service_ = &service;
  heir_ = heir;
  sent_to_.assign(Scoreboard::kSlots, false);
  rooms_.resize(Scoreboard::kSlots);
  done_ = std::move(done);
  looks_ = loop_.every(kLookInterval, [this] { look(); });
  service.hand_over(*this, [this] {
    ended_ = true;
    look();
  });
}

void HandOverSender::finish_here() {
  service_->drain([this] {
    ended_ = true;
    look();
  });
}

// ---- To other workers ----

HandOverReply HandOverSender::send(int fd, std::span<const std::byte> state) noexcept {
  if (loop_.now() < hold_until_) return HandOverReply::busy;
  const std::optional<unsigned> taker = find_taker();
  if (!taker) return HandOverReply::busy;
  scoreboard_.coming(*taker).fetch_add(1);
  const Result<bool> sent = mailboxes_.send(*taker, fd, state);
  if (sent && *sent) {
    sent_to_[*taker] = true;
    last_sent_ = loop_.now();
    return HandOverReply::taken;
  }
  scoreboard_.coming(*taker).fetch_sub(1);
  if (!sent) return HandOverReply::never;
  wait_for_room_in_mailbox(*taker);
  return HandOverReply::busy;
}

// Returns the slot `heir_` if its worker has room, else the slot of another worker that has room,
// or nothing if there is none. In an upgrade the worker of `heir_` belongs to the new program and
// is not on this scoreboard. In that case this function always returns `heir_`. If that worker has
// no room, the connection comes back after kPatience.
std::optional<unsigned> HandOverSender::find_taker() const {
  if (scoreboard_.occupant(heir_) == &seat_ || scoreboard_.has_room(heir_)) return heir_;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    const bool known = mailboxes_.into(slot) >= 0;
    if (slot != own_ && slot != heir_ && known && scoreboard_.has_room(slot)) return slot;
  }
  return std::nullopt;
}

void HandOverSender::wait_for_room_in_mailbox(unsigned slot) {
  if (rooms_[slot] && rooms_[slot].active()) return;
  Result<IoWatcher> room = loop_.watch(mailboxes_.into(slot), Interest::write, [this, slot](Ready) {
    rooms_[slot].stop();
    service_->offer_again();
  });
  if (room) rooms_[slot] = std::move(*room);  // if this fails, the service offers again by itself
}

// ---- Back from them ----

// Calls `done_` when the last connection is gone and the LastCall is over. The service reports a
// single time that it has no connections (ended_), but take_back() may bring connections back after
// that report. So look() also asks the service for its number of connections.
void HandOverSender::look() {
  if (any_waits()) {
    if (loop_.now() - last_sent_ >= patience_) take_back();
  } else if (ended_ && service_->connections() == 0 && last_call_.over() && done_) {
    looks_.stop();
    rooms_.clear();
    std::exchange(done_, {})();
  }
}

bool HandOverSender::any_waits() {
  bool any = false;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    if (sent_to_[slot]) sent_to_[slot] = mailboxes_.waits(slot);
    any = any || sent_to_[slot];
  }
  return any;
}

void HandOverSender::take_back() {
  int count = 0;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    if (sent_to_[slot]) count += receiver_.take_all(slot);
  }
  if (count == 0) return;
  REACTOR_LOG(info, std::to_string(count) + " connections go on in worker " + std::to_string(own_) +
                        ", because no other worker has room");
  last_sent_ = loop_.now();
  hold_until_ = saturating_add(loop_.now(), pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  patience_ *= 2;
}

}  // namespace reactor::prefork
