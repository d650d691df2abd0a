// SPDX-License-Identifier: MIT
// What the tests of streams and servers share: a handler that records, a peer that is a plain
// socket, and the two joined.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/net/stream.h"
#include "tests/support/pipes.h"

namespace reactor {

// A callback in which tests do what others do in another.
enum class Moment { open, data, end, drain, timeout, shutdown, close };
inline constexpr std::array kMoments = {Moment::open,  Moment::data,    Moment::end,
                                        Moment::drain, Moment::timeout, Moment::shutdown,
                                        Moment::close};
// Makes it come, where that is not the peer's part: data and end.
void provoke(Stream* stream, Moment moment);

// Notes what it is called with. A hook, where set, runs in place of the default.
class Recorder : public StreamHandler {
 public:
  void on_open(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_drain(Stream& stream) override;
  void on_timeout(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  void on_close(Stream& stream, std::error_code error) noexcept override;

  // Sets the hook of `moment`.
  void when(Moment moment, Callback<void(Stream&)> hook);

  Callback<void(Stream&)> when_open, when_end, when_drain, when_timeout, when_shutdown, when_close;
  Callback<void(Stream&, std::string_view)> when_data;
  std::string got;
  std::error_code error;  // of on_close
  int opens = 0, ends = 0, drains = 0, timeouts = 0, shutdowns = 0, closes = 0;
};

// Reads into a buffer of its own.
template <std::size_t kSize>
struct BufferRecorder final : Recorder {
  std::span<std::byte> read_buffer(Stream&) override { return buffer; }
  std::array<std::byte, kSize> buffer{};
};

// Writes back what comes.
class Echo final : public StreamHandler {
 public:
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
};

// What a callback that fails throws.
struct Raised {};

// Takes no Stream over.
struct Nobody final : Successor {
  Answer take(int, std::span<const std::byte>) noexcept override { return Answer::never; }
};

// The other side. Its socket does not block.
struct Peer {
  // Reads all that is there; notes the end or the error, which come once.
  void read();
  // Writes as much of `text` as goes; gives how much.
  std::size_t write(std::string_view text);
  [[nodiscard]] bool over() const { return end || error != 0; }

  UniqueFd fd;
  std::string got;
  bool end = false;
  int error = 0;
};

// A Stream with a Recorder, and its Peer.
struct Link {
  explicit Link(Loop& loop, StreamOptions settings = {}, FdPair (*make)() = &make_tcp_pair);
  void start(bool likely_readable = false) { stream->start(likely_readable); }

  StreamOptions options;
  Recorder handler;
  Peer peer;
  std::unique_ptr<Stream> stream;
};

// False where its handler is not told of the end in time.
[[nodiscard]] bool run_to_close(Loop& loop, Link& link);

// A client of `address`, connected or about to be.
[[nodiscard]] Peer connect_peer(const Address& address);

// `size` octets in which each place can be told from its neighbours.
[[nodiscard]] std::string pattern(std::size_t size);

}  // namespace reactor
