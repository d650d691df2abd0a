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

// AcceptHandler gets the connections that a Listener accepts.
class AcceptHandler {
 public:
  // Takes over a new connection; destroying `connection` closes it. This call may stop or destroy
  // the listener.
  virtual void on_accept(Listener& listener, Socket connection) = 0;
  // Returns whether another connection can be handled now. If not, waiting connections stay in the
  // kernel's queue, and the next turn asks again. The loop does not sleep meanwhile, so return
  // false only while the loop has other work to do; otherwise pause the listener. Default: true.
  [[nodiscard]] virtual bool takes_more() const noexcept { return true; }
  // Reports that the listening socket is broken and is no longer polled. Not called when
  // descriptors run out or a client disconnects. Default: logs the error.
  virtual void on_listener_error(Listener& listener, std::error_code error);

 protected:
  ~AcceptHandler() = default;
};

// Listener accepts connections. Each turn has a budget, in connections and in time, so that a storm
// of connections does not starve the loop's other callbacks (G10). If the process is out of
// descriptors or memory, the listener pauses and tries again by timer: it never spins, and the
// connections stay in the kernel's queue. A Listener belongs to its loop's thread, and callbacks
// may call any of its functions. Destroying it closes the socket, but leaves a unix socket's file
// alone in a forked child (G9).
class Listener final : private PollTarget {
 public:
  static constexpr int kAcceptBudget = 256;  // connections in a turn
  // The budget in time, which includes on_accept(). It is checked after each kAcceptStride
  // connections, and counts from the first check.
  static constexpr Duration kAcceptTime = std::chrono::milliseconds(1);
  static constexpr int kAcceptStride = 8;
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(100);

  // Binds, listens and starts accepting. `handler` must outlive the listener. Errors: those of
  // Socket::listen() and Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> listen(
      Loop& loop, const Address& address, AcceptHandler& handler, const ListenOptions& options = {},
      SourceLocation where = SourceLocation::current());

  // Takes over a socket that already listens (from a master or a service manager). If `remove_file`
  // is true, the destructor removes the file of a unix socket, and so does this call if it fails. A
  // file that no longer belongs to this socket stays. Errors: those of getsockname(2) and
  // Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Listener>> adopt(
      Loop& loop, Socket socket, AcceptHandler& handler, bool remove_file = false,
      SourceLocation where = SourceLocation::current());

  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Declares that several processes poll this socket from now on, so that the kernel need not wake
  // them all for a connection (EPOLLEXCLUSIVE, on systems that have it). From then on, the listener
  // still accepts one connection after pause(), because that connection's event may have woken only
  // this process.
  void share() noexcept;

  // pause() stops accepting; waiting connections stay in the kernel's queue. resume() accepts
  // again. Errors of resume(): those of Loop::set_interest().
  void pause() noexcept;
  Result<> resume() noexcept;
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  // Accepts the connections that are queued right now, at most a turn's budget, without waiting for
  // the poller. Returns true if there may be more. Returns false if the queue is empty, if nothing
  // can be accepted now, or if a handler destroyed the listener.
  bool accept_now();

  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  // Returns the listener's address, with the real port if port 0 was asked for.
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] SourceLocation where() const noexcept { return where_; }
  // Returns how often the listener ran out of descriptors or memory.
  [[nodiscard]] std::uint64_t exhaustions() const noexcept { return exhaustions_; }

 private:
  Listener(Loop& loop, Socket socket, SocketFile file, AcceptHandler& handler, Address address,
           SourceLocation where);
  [[nodiscard]] static Result<std::unique_ptr<Listener>> make(Loop& loop, Socket socket,
                                                              SocketFile file,
                                                              AcceptHandler& handler,
                                                              SourceLocation where);
  void on_ready(Ready ready) override;
  void on_expire() override;
  void on_call() override;
  [[nodiscard]] HandleInfo describe() const noexcept override;
  bool accept_batch();
  bool accept_one(const Lifetime::Watch& listener);
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
