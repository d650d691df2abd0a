// SPDX-License-Identifier: MIT
// Connector makes one connection, to the one of several addresses that answers first (RFC 8305,
// "Happy Eyeballs": a dead address costs an attempt_delay, not a timeout).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/loop/loop.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"

namespace reactor {

// ConnectAttempt is one address that a Connector tried.
struct ConnectAttempt {
  Address address;
  // Empty while the attempt is running, or if the callback got its socket. Otherwise:
  //  * connection_refused if a loopback socket had connected to itself;
  //  * operation_canceled if another attempt was faster;
  //  * Errc::timed_out if the deadline ended the attempt;
  //  * else the error of Socket::connect(), Socket::finish_connect() or Loop::watch().
  std::error_code error;
};

// Connector connects without blocking. It calls back once, with a connected, non-blocking socket or
// with an error. The error is:
//
//  * Errc::timed_out at the deadline, even if attempts had other errors.
//  * destination_address_required if there was no address at all.
//  * Otherwise the error of one attempt: the first error of the most telling class. The classes,
//    from most to least telling, are: the host answered (refused, reset); something else
//    (permission, descriptors, local address in use); no answer (the kernel's timed_out); no way to
//    the host (network or host unreachable, family or address not available here). attempts() has
//    the errors of all attempts.
//
// Addresses are tried in the order given, except that families alternate, beginning with the family
// of the first address. The next attempt starts when the latest one has failed or is attempt_delay
// old. Earlier attempts keep running. If the backlog of a unix socket is full, the Connector tries
// that socket again every few milliseconds until the deadline (connect(2) EAGAIN).
//
// A Connector belongs to its loop's thread, and keeps Loop::run() going until it has called back.
// Destroying it closes all its sockets, and the callback never runs. Callbacks may call any of its
// functions and may destroy it.
class Connector {
 public:
  // Gets the socket or the error. Never called from inside connect(), add() or no_more().
  using Done = Callback<void(Result<Socket>)>;

  static constexpr Duration kRetryDelay = std::chrono::milliseconds(5);  // for a full backlog

  // Tries all of `addresses`, which may be a mix of TCP and unix addresses. Errors:
  // Errc::wrong_process; invalid_argument if the callback is empty.
  [[nodiscard]] static Result<std::unique_ptr<Connector>> connect(
      Loop& loop, std::span<const Address> addresses, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());
  [[nodiscard]] static Result<std::unique_ptr<Connector>> connect(
      Loop& loop, const Address& address, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());

  // Starts without an address. Call add() as addresses become known, and no_more() after the last
  // one. The deadline counts from here. Errors: as connect().
  [[nodiscard]] static Result<std::unique_ptr<Connector>> grow(
      Loop& loop, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());

  ~Connector() = default;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // Adds addresses behind those that already wait. Does nothing after the callback has run.
  void add(std::span<const Address> addresses);
  // Declares that no more addresses follow. From then on the Connector fails as soon as all
  // attempts have failed. Without this call it waits for more addresses until its deadline.
  void no_more();

  // Returns the attempts in their order. Valid until the next turn or the next call of add(). The
  // callback may call this.
  [[nodiscard]] std::span<const ConnectAttempt> attempts() const noexcept { return attempts_; }
  // Returns true until the callback runs.
  [[nodiscard]] bool pending() const noexcept { return static_cast<bool>(done_); }

 private:
  // An attempt in progress. The watcher must be destroyed before the socket that it watches.
  struct Running {
    std::size_t number;  // its index in attempts_
    Socket socket;       // empty while it waits to ask a full backlog again
    IoWatcher watcher;
  };

  Connector(Loop& loop, const ConnectOptions& options, Done done, SourceLocation where);
  [[nodiscard]] std::size_t next() const noexcept;
  void start_attempts();
  void schedule();
  [[nodiscard]] std::error_code begin(Running& attempt);
  [[nodiscard]] std::vector<Running>::iterator find(std::size_t number) noexcept;
  void on_writable(std::size_t number);
  void retry();
  void fail(std::size_t number, std::error_code error);
  [[nodiscard]] std::error_code most_telling_error() const noexcept;
  void cancel_running(std::error_code error);
  void finish(Result<Socket> result);

  Loop* loop_;
  ConnectOptions options_;
  Done done_;
  SourceLocation where_;
  bool growing_ = true;
  std::vector<Address> waiting_;
  std::vector<ConnectAttempt> attempts_;
  std::vector<Running> running_;
  TimePoint next_start_{};  // of the next attempt, unless the latest one fails earlier
  Timer delay_;             // starts the next attempt, or finishes if there is none
  Timer retry_;
  Timer deadline_;
};

}  // namespace reactor
