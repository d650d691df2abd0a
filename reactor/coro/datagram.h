// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/coro/context.h"
#include "reactor/net/datagram.h"

namespace reactor::coro {

class Receive;

// What receive() gave.
struct Received {
  std::size_t size = 0;  // octets in the buffer; 0 is a datagram without content, and never an end
  bool truncated = false;          // it was larger than the buffer, or DatagramOptions::max_size
  Address from;                    // who sent it
  Address local;                   // where it was sent to
  bool control_truncated = false;  // see Message::control_truncated()
};

// A socket of messages (UDP or unix) for coroutines.
//
//   auto socket = coro::Datagram::bind(loop, address).value();
//   for (;;) {
//     const coro::Received got = (co_await socket->receive(buffer)).value();
//     socket->transport().send_to(std::span(buffer).first(got.size), got.from, got.local);
//   }
//
// Sending never waits: see reactor::Datagram, which transport() is. While nobody receives, the
// kernel's buffer fills and then drops; the rest of a batch that came together is kept here.
// Destroying it ends who waits with operation_canceled. Belongs to its loop's thread.
class Datagram final : private DatagramHandler {
 public:
  // Errors: those of reactor::Datagram's.
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> bind(
      Loop& loop, const Address& local, const DatagramOptions& options = {},
      SourceLocation where = SourceLocation::current());
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> connect(
      Loop& loop, const Address& peer, const DatagramOptions& options = {},
      SourceLocation where = SourceLocation::current());
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> adopt(
      Loop& loop, Socket socket, const DatagramOptions& options = {}, bool remove_file = false,
      SourceLocation where = SourceLocation::current());
  Datagram(const Datagram&) = delete;
  Datagram& operator=(const Datagram&) = delete;
  ~Datagram();

  // The next datagram, into `buffer`. One coroutine at a time. Errors: what the network or the
  // system answered to one that was sent earlier (DatagramHandler::on_error()), of several that
  // came while nobody received the last; the socket works on.
  [[nodiscard]] Receive receive(std::span<std::byte> buffer) noexcept;

  [[nodiscard]] const Address& address() const noexcept { return socket_->address(); }
  [[nodiscard]] reactor::Datagram& transport() noexcept { return *socket_; }

 private:
  friend class Receive;

  struct Kept {
    std::vector<std::byte> bytes;
    Received about;
  };

  Datagram() noexcept = default;
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> with(
      std::unique_ptr<Datagram> result, Result<std::unique_ptr<reactor::Datagram>> socket);
  void on_datagram(reactor::Datagram& socket, const Message& message) override;
  void on_error(reactor::Datagram& socket, std::error_code error) override;

  std::unique_ptr<reactor::Datagram> socket_;
  Receive* waiting_ = nullptr;
  std::list<Kept> kept_;  // a list, as that takes no memory while it is empty
  std::error_code error_;
  bool paused_ = false;
};

class Receive : private Waiter {
 public:
  Receive(Datagram& socket, std::span<std::byte> buffer) noexcept
      : socket_(&socket), buffer_(buffer) {}
  Receive(Receive&&) noexcept = default;
  // One that has gone on, or never waited, may outlive its socket.
  ~Receive() {
    if (waits_ && socket_ != nullptr) socket_->waiting_ = nullptr;
  }

  [[nodiscard]] bool await_ready();
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    suspend(coroutine);
    begin();
  }
  [[nodiscard]] Result<Received> await_resume();

 private:
  friend class Datagram;
  void begin();
  void take(std::span<const std::byte> bytes, const Received& about);

  Datagram* socket_;  // null where it was destroyed while this waited
  std::span<std::byte> buffer_;
  Received received_;
  std::error_code error_;
  bool waits_ = false;
};

inline Receive Datagram::receive(std::span<std::byte> buffer) noexcept {
  return Receive(*this, buffer);
}

}  // namespace reactor::coro
