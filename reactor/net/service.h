// SPDX-License-Identifier: MIT
// Service: how a process that is one of several steers a server. Server<C> and http::Server are
// ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reactor/base/callback.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/net/socket.h"

namespace reactor {

// Where connections can go on: another process with the same kind of server.
class Successor {
 public:
  enum class Answer : std::uint8_t {
    taken,  // a copy of the descriptor is on its way
    busy,   // no room now: see Service::retry_hand_over()
    never,  // finish it here
  };
  // `state` is what take_over() gets there. The descriptor stays the caller's.
  virtual Answer take(int fd, std::span<const std::byte> state) noexcept = 0;

 protected:
  ~Successor() = default;
};

// Loop thread only; callbacks may call it, but for what says otherwise.
class Service {
 public:
  // Ends without cutting anybody off; see Server::drain(). After hand_over() too.
  virtual void drain(Callback<void()> done = {}) = 0;

  // Another process has our listeners: stops accepting at once, as what is queued is for the
  // successor. Offers it each connection that is idle, now or later, and finishes the others as
  // drain() does; `done` is called from the loop when the last is gone. `successor` outlives this.
  virtual void hand_over(Successor& successor, Callback<void()> done) = 0;
  // After Answer::busy: offers again those that were turned away.
  virtual void retry_hand_over() = 0;
  // A connection from another process, with the state that Successor::take() got there; empty where
  // it was only accepted. Errors: bad_file_descriptor for no connection; bad_message for a state
  // that no Service wrote.
  // The connection is closed then.
  virtual Result<> take_over(Socket connection, std::span<const std::byte> state) = 0;

  // From here on its listeners are other processes' too, who go on accepting when it ends: drain()
  // does not stop new connections at them (Socket::refuse_new()), which is for whoever ends them
  // all. Those that the kernel does not balance are polled as shared (Listener::share()).
  virtual void share_listeners() = 0;

  // Accepts from the listening socket of a sibling too, of which a copy is made, until give_back()
  // of the same descriptor. Errors: those of Listener::adopt(); file_exists where it is borrowed
  // already.
  virtual Result<> borrow(int listening_fd) = 0;
  virtual void give_back(int listening_fd) noexcept = 0;

  // `keep` is called for each connection that was accepted, before anything is made of it. false:
  // it goes on elsewhere (a copy was sent), and is closed here; so it is if `keep` throws. Empty:
  // all stay. `keep` may replace itself.
  virtual void set_placement(Callback<bool(const Socket&)> keep) = 0;
  // Where to count connections() from now on: for others to read. It outlives the service.
  virtual void set_counter(Counter& connections) noexcept = 0;
  // Calls `room` from the loop each time that the limit kept connections waiting and there is a
  // place for one again, before a listener accepts it.
  virtual void set_on_room(Callback<void()> room) = 0;
  // Calls `reached` once, from the loop, after so many more requests were served; if the protocol
  // knows none, after so many connections were accepted. `reached` may set another limit.
  virtual void set_limit(std::uint64_t requests, Callback<void()> reached) = 0;

  [[nodiscard]] virtual std::size_t connections() const noexcept = 0;
  // As many at once as it accepts; ServerLimits::max_connections.
  [[nodiscard]] virtual std::size_t most_connections() const noexcept = 0;
  // Since the start.
  [[nodiscard]] virtual std::uint64_t accepted() const noexcept = 0;

 protected:
  ~Service() = default;
};

}  // namespace reactor
