// SPDX-License-Identifier: MIT
// Service is the interface by which a prefork worker controls its server. Server<C> and
// http::Server implement it.
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

// May be called only on the loop's thread. Callbacks may call all members, except where one says
// otherwise.
class Service {
 public:
  // Ends without cutting off any connection; see ServerBase::drain(). May be called after
  // hand_over() too.
  virtual void drain(Callback<void()> done = {}) = 0;

  // Hands over to `successor`, which has the same listeners. Stops accepting at once, as queued
  // connections are for the successor. Offers the successor each connection that is idle, now or
  // later, and finishes the others as drain() does. Calls `done` from the loop when the last
  // connection is gone. `successor` must outlive this Service.
  virtual void hand_over(HandOverTarget& successor, Callback<void()> done) = 0;
  // Offers the connections again for which HandOverReply::busy came.
  virtual void offer_again() = 0;
  // Continues a connection from another process. `state` is what HandOverTarget::send() got there;
  // it is empty if the connection was only accepted. Errors, after which the connection is closed:
  // bad_file_descriptor if `connection` is empty; bad_message if no Service wrote this state;
  // Errc::not_supported for an upgraded connection if this server can't continue those.
  virtual Result<> adopt_connection(Socket connection, std::span<const std::byte> message) = 0;

  // Declares that other processes have the same listeners and go on accepting when this one ends.
  // So drain() does not refuse new connections at them (Socket::refuse_new()): only the process
  // that ends them all may do that. A listener over which the kernel does not spread connections
  // (Socket::is_balanced()) is polled as shared (Listener::share()).
  virtual void share_listeners() = 0;

  // Accepts from a sibling's listening socket too, until give_back() of the same descriptor. Makes
  // a copy of the descriptor. Errors: those of Listener::adopt(); file_exists if it is borrowed
  // already.
  virtual Result<> borrow(int listening_fd) = 0;
  virtual void give_back(int listening_fd) noexcept = 0;

  // Sets `keep`, which is called for each accepted connection before anything else happens to it.
  // If it returns false, the connection continues elsewhere (`keep` has sent a copy) and is closed
  // here. It is closed too if `keep` throws. An empty `keep` keeps all. `keep` may replace itself.
  virtual void set_placement(Callback<bool(const Socket&)> keep) = 0;
  // Sets the counter that holds connections() from now on, for other processes to read. It must
  // outlive the Service.
  virtual void set_counter(Counter& connections) noexcept = 0;
  // Calls `room` from the loop each time that a connection ends after the limit had stopped
  // accepting, before a listener accepts another one.
  virtual void set_on_room(Callback<void()> room) = 0;
  // Calls `reached` once, from the loop, after `requests` more requests. If the protocol has no
  // requests, accepted connections count. `reached` may set another limit.
  virtual void set_limit(std::uint64_t requests, Callback<void()> reached) = 0;

  [[nodiscard]] virtual std::size_t connections() const noexcept = 0;
  // Returns the most connections at once: ServerLimits::max_connections.
  [[nodiscard]] virtual std::size_t most_connections() const noexcept = 0;
  // Returns how many connections were accepted since the start.
  [[nodiscard]] virtual std::uint64_t accepted() const noexcept = 0;

 protected:
  ~Service() = default;
};

}  // namespace reactor
