// SPDX-License-Identifier: MIT
// Transport: how a Stream moves its octets where that is not by recv(2) and send(2): TLS, a pipe, a
// test's network.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/net/socket.h"
#include "reactor/poller/event.h"

namespace reactor {

// Belongs to one Stream, by Stream::set_transport(), which calls it from the loop's thread and
// never from inside itself. The descriptor is the Stream's, and non-blocking as a rule: no call may
// wait.
class Transport {
 public:
  virtual ~Transport() = default;

  // Before the first octet: a handshake. Called at start(), and again when the descriptor is ready
  // for read_needs(), while it gives would-block; on_open() is called after it gave ok (any count).
  // Its end and its errors end the Stream by on_close(); so does the time limit. Default: ok.
  virtual IoResult open(int fd);
  // Whether a call of open() may take much processor time, as a handshake does. Then the Stream
  // lets the calls of all its loop's openings run one after the other, within 1 ms of each turn and
  // one call more, so that other connections do not wait for them (G10). Default: no.
  [[nodiscard]] virtual bool open_is_costly() const noexcept { return false; }
  // What open() may take in all, greater than zero, the wait for its turn included. Errc::timed_out
  // when it passes.
  [[nodiscard]] virtual Duration open_limit() const noexcept { return std::chrono::seconds(10); }

  // Reads up to buffer.size() octets, at least 1. Zero octets are would-block; the end is that of
  // the peer's writing.
  virtual IoResult read(int fd, std::span<std::byte> buffer) = 0;
  // Writes a part of `bytes`, not empty. After would-block the next call begins with the same
  // octets, maybe in another place, and is not shorter.
  virtual IoResult write(int fd, std::span<const std::byte> bytes) = 0;

  // Tells the peer that no more is written; called once everything is. Would-block: called again
  // when the descriptor is ready for write_needs(). Any other result is the last; errors are not
  // reported. The Stream closes the descriptor afterwards, or goes on reading.
  virtual IoResult end_writing(int fd) = 0;

  // What the descriptor has to be ready for, after open() or read(), or write() or end_writing(),
  // gave would-block. Others than the defaults are for protocols that have to send something
  // before they can receive.
  [[nodiscard]] virtual Interest read_needs() const noexcept { return Interest::read; }
  [[nodiscard]] virtual Interest write_needs() const noexcept { return Interest::write; }

  // Whether there is input here already, of which the descriptor's readiness tells nothing.
  [[nodiscard]] virtual bool has_input() const noexcept { return false; }

  // False: write-only. The Stream never reads, ended() is true from the start, and shutdown()
  // closes it.
  [[nodiscard]] virtual bool can_read() const noexcept { return true; }

  // The Stream has ended, and calls none of the above any more: what is open beside its descriptor
  // is closed here, before on_close(). Default: nothing.
  virtual void release() noexcept;

  // What `failed`, which open(), read() or write() gave, is called; where errno can't tell.
  // Default: failed.error().
  [[nodiscard]] virtual std::error_code error(IoResult failed) const noexcept;

 protected:
  Transport() = default;
  Transport(const Transport&) = default;
  Transport& operator=(const Transport&) = default;
};

// Gives each connection of a server its own: ServerLimits::transports.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;

  // Never null. Called from the loop's thread, for each connection that was accepted.
  [[nodiscard]] virtual std::unique_ptr<Transport> make_transport() = 0;

 protected:
  TransportFactory() = default;
  TransportFactory(const TransportFactory&) = default;
  TransportFactory& operator=(const TransportFactory&) = default;
};

}  // namespace reactor
