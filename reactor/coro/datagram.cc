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
  waiting_->error = std::make_error_code(std::errc::operation_canceled);
  waiting_->socket = nullptr;
  waiting_->wake();
}

// Resumes the receiver inside this callback, so that the receiver's answers are sent together with
// the answers to the rest of the batch.
void Datagram::on_datagram(reactor::Datagram& socket, const Message& message) {
  const Received about{0, message.truncated(), message.from(), message.local(),
                       message.control_truncated()};
  if (Call* const call = std::exchange(waiting_, nullptr)) {
    call->take(message.bytes(), about);
    call->resume();
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
  Call* const call = std::exchange(waiting_, nullptr);
  if (call == nullptr) {
    error_ = error;
    return;
  }
  call->error = error;
  call->resume();
}

void Datagram::Call::take(std::span<const std::byte> bytes, const Received& about) {
  received = about;
  received.size = std::min(bytes.size(), buffer.size());
  if (received.size > 0) std::memcpy(buffer.data(), bytes.data(), received.size);
  if (bytes.size() > buffer.size()) received.truncated = true;
}

bool Datagram::Receive::await_ready() {
  Datagram& socket = *call_.socket;
  call_.error = std::exchange(socket.error_, {});
  if (call_.error) return true;
  if (socket.kept_.empty()) return false;
  call_.take(socket.kept_.front().bytes, socket.kept_.front().about);
  socket.kept_.pop_front();
  return true;
}

void Datagram::Receive::begin() {
  Datagram& socket = *call_.socket;
  REACTOR_CHECK(socket.waiting_ == nullptr);  // fails if two coroutines receive
  socket.waiting_ = &call_;
  call_.waits = true;
  if (std::exchange(socket.paused_, false)) socket.socket_->resume_reading();
}

Result<Received> Datagram::Receive::await_resume() {
  call_.waits = false;
  if (call_.error) return call_.error;
  return call_.received;
}

}  // namespace reactor::coro
