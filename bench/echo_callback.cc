// SPDX-License-Identifier: MIT
// Runs an echo server with callbacks, for instructions.py.
#include <csignal>
#include <iostream>

#include "reactor/net/server.h"

namespace {

class Echo final : public reactor::StreamHandler {
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write(bytes);
  }
};

}  // namespace

int main() {
  reactor::Loop loop;
  auto server = reactor::Server<Echo>::listen(loop, reactor::Address::loopback(0)).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  auto quit = loop.on_signal(SIGTERM, [&] { loop.stop(); }).value();
  loop.run().value();
}
