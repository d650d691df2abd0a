// SPDX-License-Identifier: MIT
// An echo server for datagrams. `example_udp_echo udp::5000` or `... unixgram:/tmp/echo`.
#include <iostream>
#include <optional>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/datagram/reflection_guard.h"
#include "reactor/net/endpoint.h"

namespace {

// The source of a UDP datagram may be forged: see ReflectionGuard.
class Echo final : public reactor::DatagramHandler {
 public:
  void serve(const reactor::Address& own) {
    guard_.emplace(reactor::ReflectionLimits{}, std::vector{own});
  }

 private:
  void on_datagram(reactor::Datagram& socket, const reactor::Message& message) override {
    const auto verdict = guard_->judge(message, reactor::monotonic_now());
    if (verdict != reactor::ReflectionGuard::Verdict::answer) return;
    socket.reply(message, message.bytes());
  }

  std::optional<reactor::ReflectionGuard> guard_;
};

}  // namespace

int main(int argc, char** argv) {
  const char* const where = argc > 1 ? argv[1] : "udp:127.0.0.1:0";
  const auto endpoint = reactor::Endpoint::parse(where);
  if (argc > 2 || !endpoint || endpoint->kind != reactor::Endpoint::Kind::datagram) {
    std::cerr << argv[argc - 1] << ": usage: udp_echo [udp:HOST:PORT|unixgram:PATH]\n";
    return 2;
  }
  reactor::Loop loop;
  Echo echo;
  const auto socket = reactor::Datagram::bind(loop, endpoint->address, echo);
  if (!socket) {
    std::cerr << where << ": " << socket.error().message() << '\n';
    return 1;
  }
  echo.serve((*socket)->address());
  const auto interrupt = loop.on_signal(SIGINT, [&] { loop.stop(); });
  const auto terminate = loop.on_signal(SIGTERM, [&] { loop.stop(); });
  const reactor::Endpoint bound{(*socket)->address(), endpoint->kind};
  std::cout << "listening on " << bound.to_string() << std::endl;
  loop.run().value();
}
