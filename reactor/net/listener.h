// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "reactor/base/clock.h"
#include "reactor/base/lifetime.h"
#include "reactor/base/result.h"
#include "reactor/loop/loop.h"
#include "reactor/net/socket.h"
#include "reactor/net/socket_file.h"

namespace reactor {

class Listener;

// Gets what a Listener accepts.
class AcceptHandler {
 public:
  // A new connection, yours now; dropping it closes it. May stop or destroy the listener.
  virtual void on_accept(Listener& listener, Socket connection) = 0;
  // Whether another connection can be dealt with now. False: those that wait stay in the kernel's
  // queue, and the next turn of the loop asks again. So something else must keep the loop busy
  // until it is true again, or the listener be paused instead. Default: true.
  [[nodiscard]] virtual bool takes_more() const noexcept { return true; }
  // The listening socket is broken (not: out of descriptors, not: a client that went away). It is
  // not polled any more.
  virtual void on_listener_error(Listener& listener, std::error_code error);

 protected:
  ~AcceptHandler() = default;
};

// Accepts connections. A budget per turn, of connections and of time, keeps a storm of them from
// starving the rest (G10). When the process is out of descriptors or memory it pauses and tries
// again by timer: it never spins, and the kernel's queue is not dropped. Belongs to its loop's
// thread; callbacks may call all of it. Destroying it closes the socket, but in a forked child
// leaves a unix socket's file alone (G9).
class Listener final : private PollTarget, private TimerNode {
 public:
  static constexpr int kAcceptBudget = 256;  // connections a turn
  // And in time, on_accept() included; looked at after each kAcceptStride connections.
  static constexpr Duration kAcceptTime = std::chrono::milliseconds(1);
  static constexpr int kAcceptStride = 8;
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(100);

  // Binds and listens at once, and starts accepting. `handler` outlives the listener.
  // Errors: those of Socket::listen() and Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen(
      Loop& loop, const Address& address, AcceptHandler& handler, const ListenOptions& options = {},
      SourceLocation where = SourceLocation::current());

  // Takes a socket that listens already (of a master, of a service manager). `remove_file`: unlink
  // a unix socket's file at the end, if it is still this one's. Errors: those of Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> adopt(
      Loop& loop, Socket socket, AcceptHandler& handler, bool remove_file = false,
      SourceLocation where = SourceLocation::current());

  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // From here on it is one of several processes that poll this socket: a connection need not wake
  // them all (EPOLLEXCLUSIVE, where there is such a thing). Pausing then takes one connection more,
  // as it may have woken only us. Errors: those of Loop::attach(), and it accepts nothing then.
  Result<> share();

  // Stops accepting; what waits in the kernel's queue stays there. resume() goes on.
  // resume errors: those of Loop::set_interest().
  void pause() noexcept;
  Result<> resume() noexcept;
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  // Accepts what is queued right now, at most a budget's worth, without waiting for the poller.
  // False: the queue is empty, or nothing can be accepted now. True: there may be more.
  bool accept_now();

  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  // Where it listens: with the real port where 0 was asked for.
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] SourceLocation where() const noexcept { return where_; }
  // Times it had to pause for want of descriptors or memory.
  [[nodiscard]] std::uint64_t exhaustions() const noexcept { return exhaustions_; }

 private:
  Listener(Loop& loop, Socket socket, AcceptHandler& handler, Address address,
           SourceLocation where);
  void on_ready(Ready ready) override;
  void on_expire() override;
  [[nodiscard]] HandleInfo describe() const noexcept override;
  bool accept_batch();
  void accept_last();
  void back_off(std::error_code error);

  Loop* loop_;
  AcceptHandler* handler_;
  Lifetime lifetime_;
  Socket socket_;
  Address address_;
  SocketFile file_;
  SourceLocation where_;
  std::uint64_t exhaustions_ = 0;
  bool paused_ = false;
  bool shared_ = false;
};

}  // namespace reactor
