// SPDX-License-Identifier: MIT
// Siblings: starts and stops its parts in the right order, and passes the master's messages to
// them.
#include "reactor/prefork/internal/siblings/siblings.h"

#include <sys/resource.h>

#include <utility>

#include "reactor/base/internal/descriptors.h"

namespace reactor::prefork {
namespace {

// This many descriptors stay free for the short needs of connections, such as a file to be sent.
constexpr std::size_t kSpareDescriptors = 4;

// Returns for how many more connections this process has descriptors. Takes the lowest free number
// as the count of descriptors in use. `any`: an open descriptor.
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
    : listeners_(listeners),
      mailboxes_(mailboxes),
      own_(own_slot),
      seat_(scoreboard.seat(seat)),
      receiver_(loop, scoreboard, mailboxes, own_slot),
      last_call_(loop),
      borrowed_(loop, scoreboard, listeners, mailboxes, receiver_, own_slot),
      balancer_(loop, scoreboard, mailboxes, borrowed_, own_slot, seat_),
      sender_(loop, scoreboard, mailboxes, receiver_, last_call_, own_slot, seat_) {}

void Siblings::serve(Service& service, bool even_out) {
  service_ = &service;
  service.share_listeners();
  service.set_counter(seat_.connections);
  seat_.most.set(service.most_connections());
  count_descriptors();
  balancer_.start(service, even_out);
  receiver_.start(service);
  receiver_.open(own_).value();  // without it, connections sent to the mailbox would be lost
  borrowed_.start(service);
  seat_.accepts.store(1);
}

// Publishes for how many connections this worker has descriptors. Counts them anew at each beat,
// because descriptors are used for other things, too, and because the limit may change
// (prlimit(2)).
void Siblings::count_descriptors() {
  const std::uint64_t more = descriptors_for_connections(mailboxes_.out_of(own_));
  seat_.capacity.set(more == Seat::kUnlimited ? more : service_->connections() + more);
}

void Siblings::beat() {
  if (service_ != nullptr) count_descriptors();
  borrowed_.look();
}

// ---- Messages of the master ----

void Siblings::hear(const Message& message, UniqueFd descriptor) {
  if (message.kind == Message::Kind::sibling) {
    learn(message, std::move(descriptor));
  } else if (message.kind == Message::Kind::drop) {
    drop(message.value);
  } else {
    borrowed_.look_for_vacancies();
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
  borrowed_.grow();
}

// Each worker empties the queues of all slots, because a sibling may be gone or stuck.
void Siblings::drop(unsigned group) {
  for (unsigned slot = 0; slot < mailboxes_.count() && service_ != nullptr; ++slot) {
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) service_->give_back(listener);
  }
  const bool streams = listeners_.accepts(group);
  std::vector<UniqueFd> sockets = listeners_.drop(group);
  if (streams && service_ != nullptr) last_call_.start(*service_, std::move(sockets));
}

// ---- The end ----

void Siblings::withdraw() {
  seat_.accepts.store(0);
  borrowed_.freeze();
  balancer_.stop();
}

void Siblings::hand_over(unsigned heir, Callback<void()> done) {
  borrowed_.stop();
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
