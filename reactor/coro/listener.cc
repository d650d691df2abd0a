// SPDX-License-Identifier: MIT
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
  waiting_->listener_ = nullptr;
  if (!waiting_->given_) give(std::make_error_code(std::errc::operation_canceled));
}

// Only wakes the coroutine: if it ran in here, it could destroy the listener that is accepting.
void Listener::give(std::error_code error) {
  waiting_->error_ = error;
  waiting_->given_ = true;
  waiting_->wake();
}

// This is called only while a coroutine waits: otherwise the listener is paused.
void Listener::on_accept(reactor::Listener& listener, Socket connection) {
  listener.pause();
  waiting_->socket_ = std::move(connection);
  give({});
}

void Listener::on_listener_error(reactor::Listener&, std::error_code error) {
  error_ = error;
  if (waiting_ != nullptr && !waiting_->given_) give(error);
}

// An awaiter that has resumed, or never waited, may outlive its listener.
Accept::~Accept() {
  if (!waits_ || listener_ == nullptr) return;
  listener_->waiting_ = nullptr;
  // The connection was accepted for a coroutine that was destroyed before it resumed. The next
  // accept() gets it.
  if (socket_) listener_->accepted_ = std::move(socket_);
  listener_->listener_->pause();
}

bool Accept::begin() {
  options_ = listener_->options_;
  error_ = listener_->error_;
  if (error_) return false;
  REACTOR_CHECK(listener_->waiting_ == nullptr);  // fails if two coroutines accept
  if (listener_->accepted_) {
    socket_ = std::move(listener_->accepted_);
    return false;
  }
  error_ = listener_->listener_->resume().error();
  if (error_) return false;
  listener_->waiting_ = this;
  waits_ = true;
  return true;
}

Result<Stream> Accept::await_resume() {
  if (std::exchange(waits_, false) && listener_ != nullptr) listener_->waiting_ = nullptr;
  if (error_) return error_;
  return Stream(context().loop, std::move(socket_), *options_);
}

}  // namespace reactor::coro
