// SPDX-License-Identifier: MIT
// Siblings: look() reads the seat of each sibling on the scoreboard. Then settle() borrows the
// sibling's listeners and mailbox, or gives them back. The states of a sibling:
//
//   moving -- no turn although connections wait --> suspect -- kStuck later --> stuck
//     ^                                                |                          |
//     +------------- a turn, or it is full ------------+--------------------------+
//
// A slot is borrowed while its worker is stuck or full, and while it has no worker that is ready.
// The master's message to look only saves the time until the next look. Connections that this
// worker accepted itself pass keep(), which may send them to another worker's mailbox.
#include "reactor/prefork/internal/siblings/siblings.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>

#include "reactor/base/internal/descriptors.h"
#include "reactor/base/log.h"

namespace reactor::prefork {
namespace {

constexpr std::uint64_t kEpoch = 32;  // accepted connections; see lives_are_short()
// Kept free for what a connection needs for a moment, such as a file that it sends.
constexpr std::size_t kSpareDescriptors = 4;

// Takes the lowest free descriptor as the number of descriptors in use. `any`: an open one.
std::uint64_t descriptors_for_connections(int any) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return Seat::kUnlimited;
  }
  const int lowest = lowest_free_descriptor(any);
  if (lowest < 0) return 0;
  const std::uint64_t used = static_cast<std::uint64_t>(lowest) + kSpareDescriptors;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

Siblings::Siblings(Loop& loop, Scoreboard& scoreboard, ListenerTable& listeners,
                   Mailboxes& mailboxes, unsigned own_slot, std::uint32_t seat)
    : loop_(loop),
      scoreboard_(scoreboard),
      listeners_(listeners),
      mailboxes_(mailboxes),
      own_(own_slot),
      seat_(scoreboard.seat(seat)),
      receiver_(loop, scoreboard, mailboxes, own_slot),
      last_call_(loop),
      sender_(loop, scoreboard, mailboxes, receiver_, last_call_, own_slot, seat_),
      again_(loop.timer([this] { look(); })) {
  again_.unref();
  grow();
}

// Adds entries for slots that were added since the last look.
void Siblings::grow() {
  while (siblings_.size() < mailboxes_.count()) siblings_.emplace_back();
}

void Siblings::serve(Service& service, bool even_out) {
  service_ = &service;
  even_out_ = even_out;
  service.share_listeners();
  service.set_counter(seat_.connections);
  seat_.most.set(service.most_connections());
  count_descriptors();
  service.set_placement([this](const Socket& connection) { return keep(connection); });
  receiver_.start(service);
  receiver_.open(own_).value();  // without it, connections sent to the mailbox would be lost
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) settle(slot);
  seat_.accepts.store(1);
}

// The number is taken anew at each beat, because other things than connections use descriptors, and
// because the limit may change (prlimit(2)).
void Siblings::count_descriptors() {
  const std::uint64_t more = descriptors_for_connections(mailboxes_.out_of(own_));
  seat_.capacity.set(more == Seat::kUnlimited ? more : service_->connections() + more);
}

void Siblings::beat() {
  if (service_ != nullptr) count_descriptors();
  look();
}

void Siblings::hear(const Message& message, UniqueFd descriptor) {
  if (message.kind == Message::Kind::sibling) {
    learn(message, std::move(descriptor));
  } else if (message.kind == Message::Kind::drop) {
    drop(message.value);
  } else {
    look_for_vacancies();
  }
}

void Siblings::learn(const Message& message, UniqueFd descriptor) {
  if (message.value == Message::kMailboxIn) {
    mailboxes_.learn(message.slot, Mailboxes::End::in, std::move(descriptor));
  } else if (message.value == Message::kMailboxOut) {
    mailboxes_.learn(message.slot, Mailboxes::End::out, std::move(descriptor));
  } else {
    listeners_.learn(message.slot, message.value, Socket(std::move(descriptor)));
  }
  grow();
}

// Empties the siblings' queues too, because a sibling may be gone or stuck.
void Siblings::drop(unsigned group) {
  for (unsigned slot = 0; slot < siblings_.size() && service_ != nullptr; ++slot) {
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) service_->give_back(listener);
  }
  const bool streams = listeners_.accepts(group);
  std::vector<UniqueFd> sockets = listeners_.drop(group);
  if (streams && service_ != nullptr) last_call_.start(*service_, std::move(sockets));
}

// ---- The siblings' queues ----

// Reads only the scoreboard: when many workers end at once, each of them causes such a look.
void Siblings::look_for_vacancies() {
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    siblings_[slot].vacant = scoreboard_.occupant(slot) == nullptr;
    settle(slot);
  }
}

void Siblings::look() {
  if (leaving_) return;
  const TimePoint now = loop_.start_time();
  const bool late = now - next_look_ > kLookInterval;
  // All workers may have stood still meanwhile (SIGSTOP, the freezer), so older suspicions do not
  // count. If this worker is late each time, it is busy, and goes on looking after the others.
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
  if (worried) again_.start(kLookInterval);
}

void Siblings::look_at(unsigned slot, Sibling& sibling) {
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

void Siblings::say_stuck(unsigned slot) {
  if (!may_say(slot)) return;
  REACTOR_LOG(info, "worker " + std::to_string(slot) + " is stuck: we accept from its queue");
}

// Allows one log line a minute per slot, because a failure that lasts is tried again all the time.
bool Siblings::may_say(unsigned slot) {
  Sibling& sibling = siblings_[slot];
  if (loop_.now() < sibling.next_line) return false;
  sibling.next_line = loop_.now() + kBetweenLines;
  return true;
}

bool Siblings::connections_wait(unsigned slot) const {
  if (mailboxes_.waits(slot)) return true;
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    const int listener = listeners_.listener(slot, group);
    if (listener < 0) continue;
    const Result<std::size_t> waiting = Socket::queue_length(listener);
    if (waiting && *waiting > 0) return true;
  }
  return false;
}

// Borrows from the slot, or gives back, if it has to. If that fails, it looks again soon. The
// receiving end of a new slot's mailbox comes last, after the listeners.
void Siblings::settle(unsigned slot) {
  Sibling& sibling = siblings_[slot];
  const bool known = mailboxes_.out_of(slot) >= 0;
  if (slot == own_ || !known || service_ == nullptr || leaving_) return;
  const bool wanted = sibling.vacant || sibling.stuck || sibling.full;
  if (sibling.borrowed == wanted) return;
  if (!wanted) give_back(slot);
  sibling.borrowed = wanted && borrow(slot);
  if (wanted && !sibling.borrowed) again_.start(kRetryDelay);
}

bool Siblings::borrow(unsigned slot) {
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

void Siblings::give_back(unsigned slot) {
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) service_->give_back(listener);
  }
  receiver_.close(slot);
}

// ---- New connections ----

// Whether a connection stays in the worker that accepted it. It moves if another worker has fewer.
// If all are full, a connection from a socket that several workers share (Listener::share()) waits
// in our mailbox.
bool Siblings::keep(const Socket& connection) {
  if (loop_.now() >= next_look_) look();
  const bool full = seat_.full();
  const bool stays = !even_out_ || lives_are_short(seat_.connections.get());
  if (stays && !full) return true;
  const unsigned slot = place_for_one(full);
  return (slot == own_ && !full) || !send_to(slot, connection);
}

// Returns the slot that has fewest connections. Returns our own slot if no other one has fewer or,
// while we are `full`, if no other one has room.
unsigned Siblings::place_for_one(bool full) {
  std::uint64_t least = full ? Seat::kUnlimited : seat_.connections.get();
  unsigned target = own_;
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    if (slot == own_ || siblings_[slot].stuck || !scoreboard_.has_place(slot)) continue;
    const std::uint64_t load = scoreboard_.load(slot);
    if (load >= least) continue;
    least = load;
    target = slot;
  }
  return target;
}

bool Siblings::send_to(unsigned slot, const Socket& connection) {
  scoreboard_.coming(slot).fetch_add(1);
  const Result<bool> sent = mailboxes_.send(slot, connection.fd(), {});
  if (sent && *sent) {
    again_.start(kLookInterval);  // looks whether it was taken
    return true;
  }
  scoreboard_.coming(slot).fetch_sub(1);
  return false;
}

// Whether most connections end so soon that moving them is no use.
bool Siblings::lives_are_short(std::uint64_t own) {
  const TimePoint now = loop_.now();
  const std::uint64_t accepted = service_->accepted() - epoch_accepted_;
  if (accepted < kEpoch && now - epoch_ < std::chrono::seconds(1)) return short_lives_;
  const std::uint64_t grown = own > epoch_connections_ ? own - epoch_connections_ : 0;
  short_lives_ = grown * 2 < accepted;
  epoch_ = now;
  epoch_accepted_ += accepted;
  epoch_connections_ = own;
  return short_lives_;
}

// ---- The end ----

void Siblings::withdraw() {
  leaving_ = true;
  seat_.accepts.store(0);
  if (service_ == nullptr) return;
  service_->set_placement({});
  again_.stop();
}

void Siblings::hand_over(unsigned heir, Callback<void()> done) {
  for (unsigned slot = 0; slot < siblings_.size(); ++slot) {
    siblings_[slot].vacant = siblings_[slot].stuck = siblings_[slot].full = false;
    settle(slot);
  }
  withdraw();
  receiver_.close(own_);  // the rest goes to the heir, or to the slot's next worker
  sender_.start(*service_, heir, std::move(done));
}

void Siblings::finish_here() { sender_.finish_here(); }

Siblings::Rest Siblings::take_rest() {
  if (service_ == nullptr) return Rest::none;
  const int came = last_call_.finish() + receiver_.take_all(own_);
  if (came > 0 && service_->connections() > 0) return Rest::came;
  return last_call_.over() && !mailboxes_.waits(own_) ? Rest::none : Rest::waits;
}

}  // namespace reactor::prefork
