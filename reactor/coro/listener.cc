// SPDX-License-Identifier: MIT
// An accept() that has to wait:
//
//   begin(): the listener accepts --> on_accept(): the listener pauses, the coroutine is woken
//                                       | destroyed meanwhile     | resumed
//                                       v                         v
//                                     accepted_: the connection   await_resume(): the Stream
//                                     waits for the next accept()
#include "reactor/coro/listener.h"

#include <utility>

#include "reactor/base/internal/check.h"

namespace reactor::coro {

Result<std::unique_ptr<Listener>> Listener::listen(Loop& loop, const Address& address,
                                                   const ListenOptions& options,
                                                   const StreamOptions& stream,
                                                   SourceLocation where) {
  std::unique_ptr<Listener> result(new Listener(stream));
  auto listener = reactor::Listener::listen(loop, address, *result, options, where);
  if (!listener) return listener.error();
  result->listener_ = std::move(*listener);
  result->listener_->pause();
  return result;
}

Result<std::unique_ptr<Listener>> Listener::adopt(Loop& loop, Socket socket,
                                                  const StreamOptions& stream,
                                                  SourceLocation where) {
  std::unique_ptr<Listener> result(new Listener(stream));
  auto listener = reactor::Listener::adopt(loop, std::move(socket), *result, false, where);
  if (!listener) return listener.error();
  result->listener_ = std::move(*listener);
  result->listener_->pause();
  return result;
}

Listener::~Listener() {
  if (waiting_ == nullptr) return;
  waiting_->listener = nullptr;
  if (!waiting_->given) give(std::make_error_code(std::errc::operation_canceled));
}

// Only wakes the coroutine. If it ran in here, it could destroy the listener that is accepting.
void Listener::give(std::error_code error) {
  waiting_->error = error;
  waiting_->given = true;
  waiting_->wake();
}

// Called only while a coroutine waits, because otherwise the listener is paused.
void Listener::on_accept(reactor::Listener& listener, Socket connection) {
  listener.pause();
  waiting_->socket = std::move(connection);
  give({});
}

void Listener::on_listener_error(reactor::Listener&, std::error_code error) {
  error_ = error;
  if (waiting_ != nullptr && !waiting_->given) give(error);
}

// An awaiter that has resumed, or never waited, may outlive its listener.
Listener::Accept::~Accept() {
  if (!call_.waits || call_.listener == nullptr) return;
  Listener& listener = *call_.listener;
  listener.waiting_ = nullptr;
  // The coroutine was destroyed before it resumed. If a connection was accepted for it, the next
  // accept() gets that connection.
  if (call_.socket) listener.accepted_ = std::move(call_.socket);
  listener.listener_->pause();
}

bool Listener::Accept::begin() {
  Listener& listener = *call_.listener;
  call_.options = listener.options_;
  call_.error = listener.error_;
  if (call_.error) return false;
  REACTOR_CHECK(listener.waiting_ == nullptr);  // fails if two coroutines accept
  if (listener.accepted_) {
    call_.socket = std::move(listener.accepted_);
    return false;
  }
  call_.error = listener.listener_->resume().error();
  if (call_.error) return false;
  listener.waiting_ = &call_;
  call_.waits = true;
  return true;
}

Result<Stream> Listener::Accept::await_resume() {
  if (std::exchange(call_.waits, false) && call_.listener != nullptr) {
    call_.listener->waiting_ = nullptr;
  }
  if (call_.error) return call_.error;
  return Stream(call_.context().loop, std::move(call_.socket), *call_.options);
}

}  // namespace reactor::coro
