// SPDX-License-Identifier: MIT
// This header helps the tests of streams and servers: a handler that records its calls, a peer that
// is a plain socket, and a Link that connects a Stream to such a peer.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/net/stream/stream.h"
#include "tests/support/pipes.h"

namespace reactor {

// The callbacks of a StreamHandler. Tests loop over them to try an action in each callback.
enum class Moment { open, data, end, drain, timeout, call, shutdown, close };
inline constexpr std::array kMoments = {Moment::open,     Moment::data,    Moment::end,
                                        Moment::drain,    Moment::timeout, Moment::call,
                                        Moment::shutdown, Moment::close};
// Causes the callback of `moment`. Does nothing for open, which start() causes, and for data and
// end, which only the peer can cause.
void provoke(Stream* stream, Moment moment);

// Records its calls. A hook that is set runs in place of the default.
class Recorder : public StreamHandler {
 public:
  void on_open(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_drain(Stream& stream) override;
  void on_timeout(Stream& stream) override;
  void on_call(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  void on_close(Stream& stream, std::error_code error) noexcept override;

  // Sets the hook of `moment`.
  void when(Moment moment, Callback<void(Stream&)> hook);

  Callback<void(Stream&)> when_open, when_end, when_drain, when_timeout, when_call, when_shutdown,
      when_close;
  Callback<void(Stream&, std::string_view)> when_data;
  std::string got;
  std::error_code error;  // the one that on_close() got
  int opens = 0, ends = 0, drains = 0, timeouts = 0, calls = 0, shutdowns = 0, closes = 0;
};

// A Recorder that reads into a buffer of its own.
template <std::size_t kSize>
struct BufferRecorder final : Recorder {
  std::span<std::byte> read_buffer(Stream&) override { return buffer; }
  std::array<std::byte, kSize> buffer{};
};

// Writes back the bytes that come.
class Echo final : public StreamHandler {
 public:
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
};

// The exception that a failing callback throws.
struct Raised {};

// Refuses every Stream.
struct Nobody final : HandOverTarget {
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    return HandOverReply::never;
  }
};

// The other end of a connection, a plain non-blocking socket.
struct Peer {
  // Reads all bytes that are there, and notes the end or the error. Does nothing after that.
  void read();
  // Writes as much of `text` as the kernel takes. Returns the number of bytes.
  std::size_t write(std::string_view text);
  [[nodiscard]] bool over() const { return end || error != 0; }

  UniqueFd fd;
  std::string got;
  bool end = false;
  int error = 0;
};

// A Stream with a Recorder, and its Peer. The kernel's buffers between them are small.
struct Link {
  explicit Link(Loop& loop, StreamOptions settings = {}, FdPair (*make)() = &make_tcp_pair);
  void start(bool likely_readable = false) { stream->start(likely_readable); }

  StreamOptions options;
  Recorder handler;
  Peer peer;
  std::unique_ptr<Stream> stream;
};

// Returns false if the handler does not get on_close() in time.
[[nodiscard]] bool run_to_close(Loop& loop, Link& link);

// Returns a client of `address` that is connected or still connecting.
[[nodiscard]] Peer connect_peer(const Address& address);

// Returns `size` bytes, varied so that a lost or swapped part shows.
[[nodiscard]] std::string pattern(std::size_t size);

}  // namespace reactor
