// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "reactor/base/result.h"
#include "reactor/coro/coro_context.h"
#include "reactor/coro/stream.h"
#include "reactor/net/listener.h"

namespace reactor::coro {

// Listener accepts connections one by one, for programs that decide when to accept. serve() is
// simpler.
//
//   auto listener = coro::Listener::listen(loop, address).value();
//   for (;;) group.spawn(talk((co_await listener->accept()).value()));
//
// While no coroutine waits in accept(), connections stay in the kernel's backlog. Destroying the
// listener closes the socket, and a waiting accept() returns operation_canceled. A Listener belongs
// to its loop's thread.
class Listener final : private AcceptHandler {
 public:
  // Errors: those of reactor::Listener::listen(). `stream` must outlive the connections.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen(
      Loop& loop, const Address& address, const ListenOptions& options = {},
      const StreamOptions& stream = Stream::default_options(),
      SourceLocation where = SourceLocation::current());
  // Takes a socket that already listens. Errors: those of reactor::Listener::adopt().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> adopt(
      Loop& loop, Socket socket, const StreamOptions& stream = Stream::default_options(),
      SourceLocation where = SourceLocation::current());
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  class Accept;
  // `Result<Stream> stream = co_await listener.accept()` returns the next connection. Only one
  // coroutine may wait at a time. Errors: those of a broken listening socket (accept(2)). If the
  // process has no free descriptor, accept() waits until it has one.
  [[nodiscard]] Accept accept() noexcept;

  // Returns the address at which it listens, with the real port if port 0 was asked for.
  [[nodiscard]] const Address& address() const noexcept { return listener_->address(); }

 private:
  // A Call is an accept() that waits, or is about to wait.
  struct Call : Waiter {
    explicit Call(Listener& its_listener) noexcept : listener(&its_listener) {}
    Listener* listener;  // null if the Listener was destroyed while this waited
    const StreamOptions* options = nullptr;
    bool waits = false;
    bool given = false;  // `socket` or `error` is set, and the coroutine was woken
    Socket socket;
    std::error_code error;
  };

  explicit Listener(const StreamOptions& options) noexcept : options_(&options) {}
  void on_accept(reactor::Listener& listener, Socket connection) override;
  void on_listener_error(reactor::Listener& listener, std::error_code error) override;
  void give(std::error_code error);

  std::unique_ptr<reactor::Listener> listener_;
  const StreamOptions* options_;
  Call* waiting_ = nullptr;  // until it has resumed
  Socket accepted_;          // left by an Accept that was destroyed before it resumed
  std::error_code error_;
};

class Listener::Accept {
 public:
  explicit Accept(Listener& listener) noexcept : call_(listener) {}
  Accept(Accept&&) noexcept = default;
  ~Accept();

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) {
    call_.suspend(coroutine);
    return begin();
  }
  [[nodiscard]] Result<Stream> await_resume();

 private:
  [[nodiscard]] bool begin();

  Call call_;
};

inline Listener::Accept Listener::accept() noexcept { return Accept(*this); }

}  // namespace reactor::coro
