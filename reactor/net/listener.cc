// SPDX-License-Identifier: MIT
// A Listener is in one of four states. Its TimerNode has a different use in two of them.
//
//   accepting --pause()--> paused: a shared listener accepts one more (on_call(), on_expire())
//      |  ^                   |
//      |  '----resume()-------'
//      |
//      +--no descriptor or memory: back_off()--> waiting: the timer leads back to accepting
//      '--the socket is broken--> detached, for ever
#include "reactor/net/listener.h"

#include <string>
#include <utility>

#include "reactor/base/log.h"

namespace reactor {
namespace {

// AcceptBudget limits one batch, in connections and in time. A batch of fewer than kAcceptStride
// connections, as nearly all are, reads no clock.
class AcceptBudget {
 public:
  bool left() noexcept {
    if (count_ == Listener::kAcceptBudget) return false;
    if (count_++ % Listener::kAcceptStride != 0 || count_ == 1) return true;
    const TimePoint now = monotonic_now();
    if (end_ == TimePoint{}) end_ = now + Listener::kAcceptTime;
    return now < end_;
  }

 private:
  int count_ = 0;
  TimePoint end_{};
};

}  // namespace

void AcceptHandler::on_listener_error(Listener& listener, std::error_code error) {
  REACTOR_LOG(error, "listener " + listener.address().to_string() + ": " + error.message());
}

Listener::Listener(Loop& loop, Socket socket, SocketFile file, AcceptHandler& handler,
                   Address address, SourceLocation where)
    : PollTarget(socket.fd()),
      loop_(&loop),
      handler_(&handler),
      socket_(std::move(socket)),
      address_(std::move(address)),
      file_(std::move(file)),
      where_(where) {}

Result<std::unique_ptr<Listener>> Listener::listen(Loop& loop, const Address& address,
                                                   AcceptHandler& handler,
                                                   const ListenOptions& options,
                                                   SourceLocation where) {
  Result<Socket> socket = Socket::listen(address, options);
  if (!socket) return socket.error();
  return make(loop, std::move(*socket), SocketFile(address), handler, where);
}

Result<std::unique_ptr<Listener>> Listener::adopt(Loop& loop, Socket socket, AcceptHandler& handler,
                                                  bool remove_file, SourceLocation where) {
  SocketFile file;
  if (remove_file) {
    if (const Result<Address> address = socket.local(); address) file.take(*address);
  }
  return make(loop, std::move(socket), std::move(file), handler, where);
}

Result<std::unique_ptr<Listener>> Listener::make(Loop& loop, Socket socket, SocketFile file,
                                                 AcceptHandler& handler, SourceLocation where) {
  const Result<Address> address = socket.local();
  if (!address) return address.error();
  std::unique_ptr<Listener> listener(
      new Listener(loop, std::move(socket), std::move(file), handler, *address, where));
  if (Result<> result = loop.attach(*listener, Interest::read); !result) return result.error();
  return listener;
}

Listener::~Listener() {
  if (attached() || armed()) {              // otherwise the loop may be gone already
    loop_->detach(*this, Detach::staying);  // a prefork master may hold a copy
    loop_->disarm(*this);
  }
}

void Listener::share() noexcept {
  if (!std::exchange(shared_, true)) loop_->share(*this);
}

void Listener::pause() noexcept {
  if (std::exchange(paused_, true) || !attached()) return;
  static_cast<void>(loop_->set_interest(*this, Interest::none));
  if (shared_ && !armed()) loop_->call_soon(*this);
}

// Accepts one more connection after a shared listener was paused, because the event of a connection
// that arrived before the pause may have woken no other process. For the same reason, accept_one()
// sets the retry timer if the process has no descriptor for the connection.
void Listener::accept_last() {
  const Lifetime::Watch listener(lifetime_);
  static_cast<void>(accept_one(listener));
}

Result<> Listener::resume() noexcept {
  paused_ = false;
  if (armed() || !attached()) return {};  // the timer does it, or the listener has failed
  return loop_->set_interest(*this, Interest::read);
}

bool Listener::accept_now() { return accept_batch(); }

void Listener::on_ready(Ready) { accept_batch(); }

bool Listener::accept_batch() {
  const Lifetime::Watch listener(lifetime_);
  AcceptBudget budget;
  while (!paused_ && budget.left()) {
    const bool takes_more = handler_->takes_more();
    if (listener.over() || !takes_more || !accept_one(listener)) return false;
  }
  return !paused_;
}

// Takes one connection out of the kernel's queue. Returns false if there is none, if nothing can be
// accepted now, or if the handler destroyed the listener.
bool Listener::accept_one(const Lifetime::Watch& listener) {
  Result<Socket> connection = Socket::accept(socket_.fd());
  if (connection) {
    if (!*connection) return false;
    handler_->on_accept(*this, std::move(*connection));
    return !listener.over();
  }
  switch (classify_accept_error(connection.error())) {
    case AcceptFailure::retry:
      return true;
    case AcceptFailure::pause:
      back_off(connection.error());
      return false;
    case AcceptFailure::fatal:
      break;
  }
  loop_->detach(*this, Detach::staying);
  handler_->on_listener_error(*this, connection.error());
  return false;
}

// Pauses for kRetryDelay, because asking again at once would only spin. The kernel keeps the queued
// connections.
void Listener::back_off(std::error_code error) {
  if (exhaustions_++ == 0) {
    REACTOR_LOG(warn, "accepting on " + address_.to_string() + " pauses: " + error.message() +
                          "; raise the limit of open files (ulimit -n) or lower the connections");
  }
  static_cast<void>(loop_->set_interest(*this, Interest::none));
  loop_->arm(*this, saturating_add(loop_->now(), kRetryDelay));
}

// The retry delay is over, or on_call() runs this.
void Listener::on_expire() {
  if (paused_) {
    if (shared_) accept_last();
    return;
  }
  static_cast<void>(loop_->set_interest(*this, Interest::read));
  accept_batch();
}

// Called after a shared listener was paused. It may have been resumed since.
void Listener::on_call() { on_expire(); }

HandleInfo Listener::describe() const noexcept { return {"listener", fd(), {}, where_}; }

}  // namespace reactor
