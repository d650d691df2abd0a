// SPDX-License-Identifier: MIT
// An echo server with coroutines: each connection is a function that reads, writes and returns.
// While it waits, it does not hold up the others.
#include <array>
#include <csignal>
#include <iostream>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

coro::Task<> echo(coro::Stream stream) {
  std::array<std::byte, 16 * 1024> buffer;
  while (const std::size_t count = (co_await stream.read(buffer)).value()) {
    (co_await stream.write(std::span(buffer).first(count))).value();
  }
}  // the connection closes here, or when a call failed

coro::Task<> run(reactor::Loop& loop) {
  auto server = coro::serve(loop, reactor::Address::loopback(0), echo).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  (co_await coro::signal(SIGINT)).value();
}  // the server closes here

int main() {
  reactor::Loop loop;
  coro::spawn(loop, run(loop)).detach();
  loop.run().value();
}
