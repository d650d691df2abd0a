// SPDX-License-Identifier: MIT
// Adopts a connection with any state, as from a process with another version of the program. The
// server must refuse it, or serve the request that follows. The input is the state.
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "reactor/base/log.h"
#include "reactor/http/server.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reactor;
using fuzz::demand;

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr int kTurns = 50;

void ignore_log(void*, LogLevel, std::string_view) noexcept {}

std::string exchange(Loop& loop, int peer) {
  demand(::send(peer, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0, "a request is sent");
  std::string got;
  for (int turn = 0; turn < kTurns && got.empty(); ++turn) {
    loop.poll().value();
    std::array<char, 1024> buffer;
    const ssize_t count = ::recv(peer, buffer.data(), buffer.size(), 0);
    if (count == 0) return "end";
    if (count > 0) got.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return got;
}

// Takes an upgraded connection over and sends back its bytes.
class Echo final : public StreamHandler {
 public:
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  set_log_sink(ignore_log, nullptr);
  LoopOptions loop_options;
  loop_options.slow_callback = Duration::zero();
  Loop loop(std::move(loop_options));
  Echo echo;
  http::Options options;
  options.on_adopt_upgraded = [&echo] { return &echo; };
  const auto server =
      http::Server::listen(
          loop, Address::loopback(0),
          [](const http::Request&, http::Response& response) { response.body("ok"); },
          std::move(options))
          .value();
  std::array<int, 2> ends{};
  demand(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
         "a pair of sockets");
  const UniqueFd peer(ends[1]);
  const Result<> taken =
      server->adopt_connection(Socket(UniqueFd(ends[0])), std::as_bytes(std::span(data, size)));
  if (!taken) {
    demand(taken.error() == std::errc::bad_message, "a refusal has this error");
    demand(server->connections() == 0, "and the connection is closed");
    return 0;
  }
  const std::string got = exchange(loop, peer.get());
  const bool served = got.starts_with("HTTP/1.1 200") || got == kRequest || got == "end";
  demand(served, "the request is served, or the connection ends");
  return 0;
}
