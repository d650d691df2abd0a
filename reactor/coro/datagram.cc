// SPDX-License-Identifier: MIT
#include "reactor/coro/datagram.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "reactor/base/internal/check.h"

namespace reactor::coro {

Result<std::unique_ptr<Datagram>> Datagram::with(
    std::unique_ptr<Datagram> result, Result<std::unique_ptr<reactor::Datagram>> socket) {
  if (!socket) return socket.error();
  result->socket_ = std::move(*socket);
  return result;
}

Result<std::unique_ptr<Datagram>> Datagram::bind(Loop& loop, const Address& local,
                                                 const DatagramOptions& options,
                                                 SourceLocation where) {
  std::unique_ptr<Datagram> result(new Datagram);
  auto socket = reactor::Datagram::bind(loop, local, *result, options, where);
  return with(std::move(result), std::move(socket));
}

Result<std::unique_ptr<Datagram>> Datagram::connect(Loop& loop, const Address& peer,
                                                    const DatagramOptions& options,
                                                    SourceLocation where) {
  std::unique_ptr<Datagram> result(new Datagram);
  auto socket = reactor::Datagram::connect(loop, peer, *result, options, where);
  return with(std::move(result), std::move(socket));
}

Result<std::unique_ptr<Datagram>> Datagram::adopt(Loop& loop, Socket socket,
                                                  const DatagramOptions& options, bool remove_file,
                                                  SourceLocation where) {
  std::unique_ptr<Datagram> result(new Datagram);
  auto adopted =
      reactor::Datagram::adopt(loop, std::move(socket), *result, options, remove_file, where);
  return with(std::move(result), std::move(adopted));
}

Datagram::~Datagram() {
  if (waiting_ == nullptr) return;
  waiting_->error_ = std::make_error_code(std::errc::operation_canceled);
  waiting_->socket_ = nullptr;
  waiting_->wake();
}

// The receiver resumes inside this callback, so its answers are sent with the rest of the batch.
void Datagram::on_datagram(reactor::Datagram& socket, const Message& message) {
  const Received about{0, message.truncated(), message.from(), message.local(),
                       message.control_truncated()};
  if (Receive* const receive = std::exchange(waiting_, nullptr)) {
    receive->take(message.bytes(), about);
    receive->resume();
    return;
  }
  try {
    kept_.push_back({{message.bytes().begin(), message.bytes().end()}, about});
  } catch (const std::bad_alloc&) {  // this datagram is lost, and the next receive() says so
    error_ = std::make_error_code(std::errc::not_enough_memory);
  }
  if (paused_) return;
  paused_ = true;
  socket.pause_reading();
}

void Datagram::on_error(reactor::Datagram&, std::error_code error) {
  Receive* const receive = std::exchange(waiting_, nullptr);
  if (receive == nullptr) {
    error_ = error;
    return;
  }
  receive->error_ = error;
  receive->resume();
}

bool Receive::await_ready() {
  Datagram& socket = *socket_;
  error_ = std::exchange(socket.error_, {});
  if (error_) return true;
  if (socket.kept_.empty()) return false;
  take(socket.kept_.front().bytes, socket.kept_.front().about);
  socket.kept_.pop_front();
  return true;
}

void Receive::begin() {
  REACTOR_CHECK(socket_->waiting_ == nullptr);  // fails if two coroutines receive
  socket_->waiting_ = this;
  waits_ = true;
  if (std::exchange(socket_->paused_, false)) socket_->socket_->resume_reading();
}

void Receive::take(std::span<const std::byte> bytes, const Received& about) {
  received_ = about;
  received_.size = std::min(bytes.size(), buffer_.size());
  if (received_.size > 0) std::memcpy(buffer_.data(), bytes.data(), received_.size);
  if (bytes.size() > buffer_.size()) received_.truncated = true;
}

Result<Received> Receive::await_resume() {
  waits_ = false;
  if (error_) return error_;
  return received_;
}

}  // namespace reactor::coro
