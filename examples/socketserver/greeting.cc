// SPDX-License-Identifier: MIT
// Greets clients on a port that the system chooses, and prints their requests, until Ctrl-C.
#include <csignal>
#include <iostream>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

coro::Task<> greet(coro::Stream stream) {
  const auto request = (co_await stream.read_some()).value();
  std::cout << stream.peer().value().to_string() << " said " << request << std::endl;
  (co_await stream.write("Merhaba dünya!\n")).value();
}

int main() {
  reactor::Loop loop;
  auto server = coro::serve(loop, reactor::Address::loopback(0), greet).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  const auto interrupt = loop.on_signal(SIGINT, [&] { server->drain([&] { loop.stop(); }); });
  loop.run().value();
  std::cout << "goodbye" << std::endl;
}
