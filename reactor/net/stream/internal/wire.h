// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/net/internal/rate_limit.h"
#include "reactor/net/socket.h"
#include "reactor/net/transport.h"
#include "reactor/poller/readiness.h"

namespace reactor {

// Wire reads and writes a Stream's bytes if recv(2) and send(2) alone are not enough. It uses a
// transport or the socket, keeps to the rates, and counts the bytes. It knows neither the Stream
// nor the loop, so its caller passes the descriptor and the time. Private to net/.
class Wire {
 public:
  void set_transport(std::unique_ptr<Transport> transport) { transport_ = std::move(transport); }
  // Returns the transport; null if the socket itself is used.
  [[nodiscard]] Transport* transport() const noexcept { return transport_.get(); }

  // These functions read into `buffer`, or write `bytes`, as far as the rate allows. They also
  // return would-block if the rate allows nothing, or if `buffer` or `bytes` is empty.
  [[nodiscard]] IoResult receive(int fd, std::span<std::byte> buffer, TimePoint now);
  [[nodiscard]] IoResult send(int fd, std::span<const std::byte> bytes, TimePoint now);
  // Writes up to `count` bytes of a file, by Socket::send_file(). Call it only without a transport.
  [[nodiscard]] IoResult send_file(int fd, int file, std::uint64_t offset, std::size_t count,
                                   TimePoint now);
  // Returns the error of a failed call; connection_reset for an end of the stream.
  [[nodiscard]] std::error_code error(IoResult failed) const noexcept;

  // These functions limit the bytes per second; 0: no limit.
  void set_read_rate(std::uint64_t bytes, TimePoint now) noexcept { read_rate_.set(bytes, now); }
  void set_write_rate(std::uint64_t bytes, TimePoint now) noexcept { write_rate_.set(bytes, now); }
  // may_read() and may_write() return how many bytes the rate allows now. If they return 0,
  // may_read_at() and may_write_at() return when the rate allows bytes again.
  [[nodiscard]] std::size_t may_read(TimePoint now) const noexcept {
    return read_rate_.allowance(now);
  }
  [[nodiscard]] std::size_t may_write(TimePoint now) const noexcept {
    return write_rate_.allowance(now);
  }
  [[nodiscard]] TimePoint may_read_at() const noexcept { return read_rate_.ready_at(); }
  [[nodiscard]] TimePoint may_write_at() const noexcept { return write_rate_.ready_at(); }

  // These functions return the readiness to wait for.
  [[nodiscard]] Interest read_needs() const noexcept {
    return transport_ == nullptr ? Interest::read : transport_->read_needs();
  }
  [[nodiscard]] Interest write_needs() const noexcept {
    return transport_ == nullptr ? Interest::write : transport_->write_needs();
  }

  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  void count_written(IoResult result, TimePoint now) noexcept;

  std::unique_ptr<Transport> transport_;
  RateLimit read_rate_, write_rate_;
  std::uint64_t bytes_read_ = 0, bytes_written_ = 0;
};

}  // namespace reactor
