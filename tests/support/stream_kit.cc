// SPDX-License-Identifier: MIT
#include "tests/support/stream_kit.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "tests/support/run.h"

namespace reactor {

void Recorder::on_open(Stream& stream) {
  ++opens;
  when_open ? when_open(stream) : StreamHandler::on_open(stream);
}

void Recorder::on_data(Stream& stream, std::span<std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  got += text;
  if (when_data) when_data(stream, text);
}

void Recorder::on_end(Stream& stream) {
  ++ends;
  when_end ? when_end(stream) : StreamHandler::on_end(stream);
}

void Recorder::on_drain(Stream& stream) {
  ++drains;
  when_drain ? when_drain(stream) : StreamHandler::on_drain(stream);
}

void Recorder::on_timeout(Stream& stream) {
  ++timeouts;
  when_timeout ? when_timeout(stream) : StreamHandler::on_timeout(stream);
}

void Recorder::on_call(Stream& stream) {
  ++calls;
  if (when_call) when_call(stream);
}

void Recorder::on_shutdown(Stream& stream) {
  ++shutdowns;
  when_shutdown ? when_shutdown(stream) : StreamHandler::on_shutdown(stream);
}

void Recorder::on_close(Stream& stream, std::error_code code) noexcept {
  ++closes;
  error = code;
  if (when_close) when_close(stream);
}

void Recorder::when(Moment moment, Callback<void(Stream&)> hook) {
  if (moment == Moment::open) when_open = std::move(hook);
  if (moment == Moment::end) when_end = std::move(hook);
  if (moment == Moment::drain) when_drain = std::move(hook);
  if (moment == Moment::timeout) when_timeout = std::move(hook);
  if (moment == Moment::call) when_call = std::move(hook);
  if (moment == Moment::shutdown) when_shutdown = std::move(hook);
  if (moment == Moment::close) when_close = std::move(hook);
  if (moment != Moment::data) return;
  when_data = [hook = std::move(hook)](Stream& stream, std::string_view) mutable { hook(stream); };
}

void provoke(Stream* stream, Moment moment) {
  if (moment == Moment::drain) stream->write(pattern(5000000));
  if (moment == Moment::timeout) stream->set_idle_timeout(std::chrono::milliseconds(1));
  if (moment == Moment::call) stream->call_soon();
  if (moment == Moment::shutdown) stream->request_shutdown();
  if (moment == Moment::close) stream->close();
}

void Peer::read() {
  std::array<char, 65536> buffer;
  while (!over()) {
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      got.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0) {
      end = true;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      error = errno;
    }
  }
}

std::size_t Peer::write(std::string_view text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::send(fd.get(), text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

namespace {

// Without a limit the kernel takes several megabytes, and the number differs between machines.
void limit_kernel_buffers(const FdPair& pair) {
  const int size = 65536;
  EXPECT_EQ(::setsockopt(pair.near.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
  EXPECT_EQ(::setsockopt(pair.far.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

}  // namespace

Link::Link(Loop& loop, StreamOptions settings, FdPair (*make)()) : options(std::move(settings)) {
  FdPair pair = make();
  limit_kernel_buffers(pair);
  peer.fd = std::move(pair.far);
  stream = std::make_unique<Stream>(loop, Socket(std::move(pair.near)), handler, options);
}

bool run_to_close(Loop& loop, Link& link) {
  return run_bounded(loop, [&] { return link.handler.closes > 0; });
}

Peer connect_peer(const Address& address) {
  Peer peer;
  peer.fd = Socket::connect(address).value().release();
  return peer;
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : text) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return text;
}

}  // namespace reactor
