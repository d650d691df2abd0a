// SPDX-License-Identifier: MIT
// Two clients at the same time: each sends a text and prints the answer. clients ADDRESS
#include <iostream>
#include <stdexcept>
#include <string>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

coro::Task<> ask(reactor::Address address, std::string question) {
  coro::Stream stream = (co_await coro::connect(address)).value();
  (co_await stream.write(question)).value();
  stream.shutdown();
  std::cout << (co_await stream.read_all(4096)).value() << std::endl;
}

int main(int argc, char** argv) try {
  if (argc != 2) throw std::invalid_argument("usage: clients ADDRESS");
  const reactor::Address address = reactor::Address::parse(argv[1]).value();
  reactor::Loop loop;
  coro::TaskGroup clients(loop);
  clients.spawn(ask(address, "Hello echo server!"));
  clients.spawn(ask(address, "Hello again!"));
  loop.run().value();
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
