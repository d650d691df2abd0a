// SPDX-License-Identifier: MIT
// Runs an echo server with coroutines, for instructions.py.
#include <array>
#include <csignal>
#include <iostream>

#include "reactor/coro/coro.h"

namespace {

namespace coro = reactor::coro;

coro::Task<> echo(coro::Stream stream) {
  std::array<std::byte, 16 * 1024> buffer;
  while (const std::size_t count = (co_await stream.read(buffer)).value()) {
    (co_await stream.write(std::span(buffer).first(count))).value();
  }
}

}  // namespace

int main() {
  reactor::Loop loop;
  auto server = coro::serve(loop, reactor::Address::loopback(0), echo).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  auto quit = loop.on_signal(SIGTERM, [&] { loop.stop(); }).value();
  loop.run().value();
}
