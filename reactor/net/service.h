// SPDX-License-Identifier: MIT
// Service is the interface by which a prefork worker controls its server.
// ServerBase implements it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reactor/base/callback.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/net/hand_over.h"
#include "reactor/net/socket.h"

namespace reactor {

// All members must be called on the loop's thread. Callbacks may call them too.
class Service {
 public:
  // Closes the server without cutting off any connection; see ServerBase::drain(). May be called
  // after hand_over() too.
  virtual void drain(Callback<void()> done = {}) = 0;

  // Hands the connections over, through `target`, to another process that has the same listeners.
  // Stops accepting at once, because the other process accepts the queued connections. Offers each
  // connection as soon as it is idle. Connections that can't be moved finish as after drain().
  // Calls `done` from the loop when the last connection is gone. `target` must outlive this
  // Service.
  virtual void hand_over(HandOverTarget& target, Callback<void()> done) = 0;
  // Makes the loop offer the connections again. Call it when `target` has room after it answered
  // HandOverReply::busy.
  virtual void offer_again() = 0;
  // Continues a connection from another process. `message` is the one that the other process passed
  // to HandOverTarget::send(). It is empty if that process only accepted the connection. After an
  // error the connection is closed. Errors: bad_file_descriptor if `connection` is empty;
  // bad_message if no Service wrote the message; Errc::not_supported if the connection was upgraded
  // (HandledBy::other) and this server can't continue upgraded connections.
  virtual Result<> adopt_connection(Socket connection, std::span<const std::byte> message) = 0;

  // Declares that other processes have the same listeners and still accept when this process ends.
  // drain() then does not refuse new connections (Socket::refuse_new()), because that would affect
  // all these processes. A listener that is not balanced (Socket::is_balanced()) is polled as
  // shared (Listener::share()).
  virtual void share_listeners() = 0;

  // Also accepts from a sibling's listening socket, until give_back() is called with the same
  // descriptor. Keeps a copy of the descriptor; the caller keeps its own. Does nothing while the
  // server drains or hands over. Errors: those of fcntl(2) and Listener::adopt(); file_exists if
  // this descriptor is borrowed already.
  virtual Result<> borrow(int listening_fd) = 0;
  virtual void give_back(int listening_fd) noexcept = 0;

  // Sets `keep`, which is called for each accepted connection before anything else happens to it.
  // If `keep` returns false, it has sent a copy to another process, and the connection is closed
  // here. The connection is also closed if `keep` throws. An empty `keep` keeps every connection.
  // `keep` may replace itself.
  virtual void set_placement(Callback<bool(const Socket&)> keep) = 0;
  // Sets the counter that holds connections() from now on, for other processes to read. It must
  // outlive the Service.
  virtual void set_counter(Counter& connections) noexcept = 0;
  // Calls `room` from the loop each time the server has room again after it was full, before a
  // listener accepts the next connection.
  virtual void set_on_room(Callback<void()> room) = 0;
  // Calls `reached` once, from the loop, after `requests` more requests. If the protocol has no
  // requests, accepted connections count instead. `reached` may set another limit.
  virtual void set_limit(std::uint64_t requests, Callback<void()> reached) = 0;

  [[nodiscard]] virtual std::size_t connections() const noexcept = 0;
  // Returns how many connections may be open at the same time (ServerLimits::max_connections).
  [[nodiscard]] virtual std::size_t most_connections() const noexcept = 0;
  // Returns how many connections were accepted since the start.
  [[nodiscard]] virtual std::uint64_t accepted() const noexcept = 0;

 protected:
  ~Service() = default;
};

}  // namespace reactor
