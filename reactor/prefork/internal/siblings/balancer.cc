// SPDX-License-Identifier: MIT
// Balancer: keep() reads the numbers on the scoreboard, and decides whether a connection that this
// worker accepted stays here. It runs once per connection, and allocates nothing.
#include "reactor/prefork/internal/siblings/balancer.h"

namespace reactor::prefork {
namespace {

constexpr std::uint64_t kEpoch = 32;  // accepted connections; see lives_are_short()

}  // namespace

Balancer::Balancer(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes,
                   BorrowedQueues& borrowed, unsigned own_slot, Seat& own_seat)
    : loop_(loop),
      scoreboard_(scoreboard),
      mailboxes_(mailboxes),
      borrowed_(borrowed),
      own_(own_slot),
      seat_(own_seat) {}

void Balancer::start(Service& service, bool even_out) {
  service_ = &service;
  even_out_ = even_out;
  service.set_placement([this](const Socket& connection) { return keep(connection); });
}

void Balancer::stop() {
  if (service_ != nullptr) service_->set_placement({});
}

// Returns whether the connection stays here. A full worker can still accept a connection from a
// socket that several workers share (see Listener::share()). If all other workers are full too,
// that connection waits in our own mailbox.
bool Balancer::keep(const Socket& connection) {
  borrowed_.look_if_due();
  const bool full = seat_.full();
  const bool stays = !even_out_ || lives_are_short(seat_.connections.get());
  if (stays && !full) return true;
  const unsigned slot = least_loaded(full);
  return (slot == own_ && !full) || !send_to(slot, connection);
}

// Returns the slot whose worker has fewest connections. Returns our own slot if no other worker has
// fewer. If we are `full`, returns our own slot only if no other worker has room.
unsigned Balancer::least_loaded(bool full) {
  std::uint64_t least = full ? Seat::kUnlimited : seat_.connections.get();
  unsigned target = own_;
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    if (slot == own_ || borrowed_.is_stuck(slot) || !scoreboard_.takes_new(slot)) continue;
    const std::uint64_t load = scoreboard_.load(slot);
    if (load >= least) continue;
    least = load;
    target = slot;
  }
  return target;
}

bool Balancer::send_to(unsigned slot, const Socket& connection) {
  scoreboard_.coming(slot).fetch_add(1);
  const Result<bool> sent = mailboxes_.send(slot, connection.fd(), {});
  if (sent && *sent) {
    borrowed_.look_soon();  // its worker may not take it
    return true;
  }
  scoreboard_.coming(slot).fetch_sub(1);
  return false;
}

// Returns whether most connections end so soon that moving them is not worth it.
bool Balancer::lives_are_short(std::uint64_t own) {
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

}  // namespace reactor::prefork
