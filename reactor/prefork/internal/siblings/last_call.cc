// SPDX-License-Identifier: MIT
// LastCall: each socket has a Listener of its own until the timer closing_ expires. Then close()
// accepts until the queue is empty, and drops the Listener.
#include "reactor/prefork/internal/siblings/last_call.h"

#include <algorithm>
#include <utility>

#include "reactor/base/log.h"

namespace reactor::prefork {

LastCall::LastCall(Loop& loop) : loop_(loop), closing_(loop.timer([this] { close(); })) {}

void LastCall::start(Service& service, std::vector<UniqueFd> sockets) {
  service_ = &service;
  for (UniqueFd& socket : sockets) {
    const int fd = socket.get();
    Result<std::unique_ptr<Listener>> listener =
        Listener::adopt(loop_, Socket(std::move(socket)), *this);
    if (!listener) {
      REACTOR_LOG(error, "can't accept the queued connections of an address that is dropped: " +
                             listener.error().message());
      continue;
    }
    if (!(*listener)->address().is_unix()) {
      end_ = std::max(end_, saturating_add(loop_.now(), Socket::latest_arrival(fd)));
    }
    listeners_.push_back(std::move(*listener));
  }
  closing_.start(std::max<Duration>(end_ - loop_.now(), Duration::zero()));
}

// Starts the timer first, so that the next turn goes on if a handler in the service throws.
void LastCall::close() {
  closing_.start(Duration::zero());
  while (!listeners_.empty()) {
    Listener& listener = *listeners_.back();
    const std::uint64_t exhaustions = listener.exhaustions();
    while (listener.accept_now()) {
    }
    if (listener.exhaustions() != exhaustions) return closing_.start(Listener::kRetryDelay);
    listeners_.pop_back();
  }
  closing_.stop();
}

int LastCall::finish() {
  const int before = accepted_;
  if (!over()) close();
  return accepted_ - before;
}

void LastCall::on_accept(Listener&, Socket connection) {
  ++accepted_;
  if (const Result<> taken = service_->adopt_connection(std::move(connection), {}); !taken) {
    REACTOR_LOG(warn, "can't serve a last connection: " + taken.error().message());
  }
}

}  // namespace reactor::prefork
