// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/coro/coro_context.h"
#include "reactor/net/datagram/datagram.h"

namespace reactor::coro {

// Received is the result of receive().
struct Received {
  std::size_t size = 0;    // bytes in the buffer; 0 is an empty datagram, never an end
  bool truncated = false;  // the datagram was larger than the buffer, or DatagramOptions::max_size
  Address from;            // the sender
  Address local;           // the address it was sent to
  bool control_truncated = false;  // see Message::control_truncated()
};

// Datagram is a datagram socket (UDP or unix) for coroutines.
//
//   auto socket = coro::Datagram::bind(loop, address).value();
//   for (;;) {
//     const coro::Received got = (co_await socket->receive(buffer)).value();
//     socket->transport().send_to(std::span(buffer).first(got.size), got.from, got.local);
//   }
//
// To send, use transport(), a reactor::Datagram, whose calls never wait. While no coroutine
// receives, the kernel's buffer fills, and then the kernel drops datagrams. The loop reads
// datagrams in batches. The Datagram keeps those of a batch that no coroutine has received yet. If
// the socket is destroyed, a waiting receive() returns operation_canceled. A Datagram belongs to
// its loop's thread.
class Datagram final : private DatagramHandler {
 public:
  // Errors: those of the functions of reactor::Datagram with the same names.
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

  class Receive;
  // Receives the next datagram into `buffer`. Only one coroutine may receive at a time. Errors: the
  // error that the network or the system reported for a datagram that we sent earlier
  // (DatagramHandler::on_error()); not_enough_memory if a datagram arrived while no coroutine
  // waited for it, and there was no memory to keep it. If several errors occurred while no
  // coroutine waited, only the last one is returned. The socket still works after an error.
  [[nodiscard]] Receive receive(std::span<std::byte> buffer) noexcept;

  [[nodiscard]] const Address& address() const noexcept { return socket_->address(); }
  [[nodiscard]] reactor::Datagram& transport() noexcept { return *socket_; }

 private:
  // A Call is a receive() that waits, or is about to wait.
  struct Call : Waiter {
    Call(Datagram& its_socket, std::span<std::byte> room) noexcept
        : socket(&its_socket), buffer(room) {}
    void take(std::span<const std::byte> bytes, const Received& about);

    Datagram* socket;  // null if the Datagram was destroyed while this waited
    std::span<std::byte> buffer;
    Received received;
    std::error_code error;
    bool waits = false;
  };

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
  Call* waiting_ = nullptr;
  std::list<Kept> kept_;  // a list, because an empty one takes no memory
  std::error_code error_;
  bool paused_ = false;
};

class Datagram::Receive {
 public:
  Receive(Datagram& socket, std::span<std::byte> buffer) noexcept : call_(socket, buffer) {}
  Receive(Receive&&) noexcept = default;
  // An awaiter that has resumed, or never waited, may outlive its socket.
  ~Receive() {
    if (call_.waits && call_.socket != nullptr) call_.socket->waiting_ = nullptr;
  }

  [[nodiscard]] bool await_ready();
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    call_.suspend(coroutine);
    begin();
  }
  [[nodiscard]] Result<Received> await_resume();

 private:
  void begin();

  Call call_;
};

inline Datagram::Receive Datagram::receive(std::span<std::byte> buffer) noexcept {
  return Receive(*this, buffer);
}

}  // namespace reactor::coro
