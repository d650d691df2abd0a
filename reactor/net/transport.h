// SPDX-License-Identifier: MIT
// Transport moves the bytes of a Stream in place of recv(2) and send(2): for TLS, a pipe, or a
// test's simulated network.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/net/socket.h"
#include "reactor/poller/readiness.h"

namespace reactor {

// A Transport belongs to one Stream (Stream::set_transport()). The Stream calls it from the loop's
// thread, and never while another of these calls runs. The descriptor belongs to the Stream and is
// usually non-blocking. None of these functions may wait.
//
// They may use other objects and destroy them. But they must not touch their own Stream, and must
// not call write_room() of any Stream. If open(), read() or write() throws, the Stream fails with
// operation_canceled, and the exception leaves run() or the Stream's caller. The other functions
// are noexcept.
class Transport {
 public:
  virtual ~Transport() = default;

  // Opens the transport before the first byte, for example by a handshake. Called at start(), and
  // again each time the descriptor is ready for read_needs(), as long as open() returns
  // would-block. When open() returns ok (with any count), StreamHandler::on_open() follows. If
  // open() returns end of stream or an error, or open_limit() passes, the Stream ends by
  // on_close(). Default: ok.
  virtual IoResult open(int fd);
  // Returns whether a call of open() may take much processor time, as a handshake does. If so, the
  // loop runs its costly openings one after the other, so that other connections do not wait for
  // them (G10). A turn starts no further call after 1 ms has passed. Default: no.
  [[nodiscard]] virtual bool open_is_costly() const noexcept { return false; }
  // Returns the time limit for opening, greater than zero. It includes the time spent waiting
  // while other connections open (see open_is_costly()). When it passes, the Stream fails with
  // Errc::timed_out.
  [[nodiscard]] virtual Duration open_limit() const noexcept { return std::chrono::seconds(10); }

  // Reads into `buffer`, which has at least one byte. A result of zero bytes means would-block; end
  // of stream means that the peer has ended its writing.
  virtual IoResult read(int fd, std::span<std::byte> buffer) = 0;
  // Writes a part of `bytes`, which is not empty. After would-block, the next call passes the same
  // bytes again, perhaps at another address in memory and with more bytes behind them.
  virtual IoResult write(int fd, std::span<const std::byte> bytes) = 0;

  // Tells the peer that no more bytes follow. Called when everything is written. After would-block
  // it is called again when the descriptor is ready for write_needs(). Any other result is final.
  // Errors are not reported. The Stream then closes the descriptor or continues to read.
  virtual IoResult end_writing(int fd) noexcept = 0;

  // These functions return the readiness to wait for after would-block: read_needs() after open()
  // or read(), and write_needs() after write() or end_writing(). Override them for protocols that
  // may have to send before they can receive, or the reverse.
  [[nodiscard]] virtual Interest read_needs() const noexcept { return Interest::read; }
  [[nodiscard]] virtual Interest write_needs() const noexcept { return Interest::write; }

  // Returns whether the transport already holds input. The poller does not report such input.
  [[nodiscard]] virtual bool has_input() const noexcept { return false; }

  // Returns false for write-only transports: the Stream then never reads, ended() is true from the
  // start, and shutdown() closes the Stream.
  [[nodiscard]] virtual bool can_read() const noexcept { return true; }

  // Closes everything that the transport holds open besides the Stream's descriptor. Called when
  // the Stream has ended, before on_close(). After this, none of the functions above is called.
  // Default: does nothing.
  virtual void release() noexcept;

  // Returns the error code to report for `failed`, a result of open(), read() or write(). Override
  // it if errno can't describe the failure. Default: failed.error().
  [[nodiscard]] virtual std::error_code error(IoResult failed) const noexcept;

 protected:
  Transport() = default;
  Transport(const Transport&) = default;
  Transport& operator=(const Transport&) = default;
};

// TransportFactory makes a Transport for each connection of a server (ServerLimits::transports).
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;

  // Returns a new transport, never null. Called from the loop's thread for each accepted
  // connection.
  [[nodiscard]] virtual std::unique_ptr<Transport> make_transport() = 0;

 protected:
  TransportFactory() = default;
  TransportFactory(const TransportFactory&) = default;
  TransportFactory& operator=(const TransportFactory&) = default;
};

}  // namespace reactor
