// SPDX-License-Identifier: MIT
// Connector: one connection to whichever of several addresses answers first (RFC 8305, "Happy
// Eyeballs": a dead address costs an attempt_delay, not a time-out).
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

// One address that a Connector tried.
struct ConnectAttempt {
  Address address;
  // No error: it goes on, or it is the one that the callback got. Else that of socket(2), bind(2)
  // or connect(2); connection_refused also where a loopback socket had connected to itself;
  // operation_canceled where another attempt was faster; Errc::timed_out at the deadline.
  std::error_code error;
};

// Connects without blocking, and calls back once: with a connected, non-blocking socket, or with
// the error that tells most:
//
//  * Errc::timed_out at the deadline, whatever the attempts say;
//  * otherwise the error of one attempt, the first in the most telling class: the host answered
//    (refused, reset); something else (permission, descriptors, local address in use); nobody
//    answered (the kernel's timed_out); there is no way (network or host unreachable, family or
//    address not available here). attempts() has them all;
//  * destination_address_required where there was no address at all.
//
// Addresses are tried in the order given, but families alternate, the first one's first. The next
// attempt starts when the latest one failed, or is attempt_delay old; the earlier ones go on. A
// unix socket whose backlog is full is asked again every few milliseconds until the deadline
// (connect(2) EAGAIN).
//
// Belongs to its loop's thread, and keeps Loop::run() going until it has called back. Destroying it
// cancels: all its sockets are closed and the callback never runs. Callbacks may call all of it and
// may destroy it.
class Connector {
 public:
  // The socket, or why there is none. Never called from inside connect(), add() or no_more().
  using Done = Callback<void(Result<Socket>)>;

  static constexpr Duration kRetryDelay = std::chrono::milliseconds(5);  // backlog full

  // Tries all of `addresses`; TCP and unix ones may be mixed.
  // Errors: Errc::wrong_process, invalid_argument for an empty callback.
  [[nodiscard]] static Result<std::unique_ptr<Connector>> connect(
      Loop& loop, std::span<const Address> addresses, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());
  [[nodiscard]] static Result<std::unique_ptr<Connector>> connect(
      Loop& loop, const Address& address, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());

  // Starts without an address: add() brings them as they become known, no_more() says that the last
  // one did. The deadline counts from here. Errors as connect().
  [[nodiscard]] static Result<std::unique_ptr<Connector>> grow(
      Loop& loop, const ConnectOptions& options, Done done,
      SourceLocation where = SourceLocation::current());

  ~Connector() = default;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // More to try, behind what waits already. Nothing happens once the callback ran.
  void add(std::span<const Address> addresses);
  // When all attempts so far have failed, that is the end.
  void no_more();

  // What was tried, in that order; valid until the next turn. May be asked in the callback.
  [[nodiscard]] std::span<const ConnectAttempt> attempts() const noexcept { return attempts_; }
  // Whether the callback is still to come.
  [[nodiscard]] bool pending() const noexcept { return static_cast<bool>(done_); }

 private:
  // An attempt under way. The watcher goes before the socket it watches.
  struct Running {
    std::size_t number;  // in attempts_
    Socket socket;       // none while it waits to ask a full backlog again
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
  TimePoint next_start_{};  // until then the latest attempt holds the next one up
  Timer delay_;             // starts attempts, and finds that none is left
  Timer retry_;
  Timer deadline_;
};

}  // namespace reactor
