// SPDX-License-Identifier: MIT
// Works like Python's ThreadingMixIn, but without threads: serves clients at the same time, each in
// a coroutine with a name. All coroutines change the same variables without a lock. The server
// shuts down after three clients.
#include <iostream>
#include <string>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

struct State {
  int connections = 0;
  int messages = 0;
};

coro::Task<> answer(State& state, coro::Stream stream) {
  const std::string name = "Coroutine-" + std::to_string(++state.connections);
  while (const auto line = (co_await stream.read_line(1024)).value()) {
    ++state.messages;
    (co_await stream.write(name + ": " + std::string(*line) + "\n")).value();
  }
}

coro::Task<> client(reactor::Address address, std::string message) {
  coro::Stream stream = (co_await coro::connect(address)).value();
  (co_await stream.write(message + "\n")).value();
  std::cout << "Received: " << (co_await stream.read_line(1024)).value().value_or("") << std::endl;
}

coro::Task<> three_clients(reactor::Loop& loop, reactor::Address address) {
  co_await coro::when_all(client(address, "Hello World 1"), client(address, "Hello World 2"),
                          client(address, "Hello World 3"));
  loop.stop();  // serve_forever() returns
}

int main() {
  reactor::Loop loop;
  State state;
  const auto handler = [&](coro::Stream stream) { return answer(state, std::move(stream)); };
  auto server = coro::serve(loop, reactor::Address::loopback(0), handler).value();
  coro::spawn(loop, three_clients(loop, server->addresses().front())).detach();
  loop.run().value();
  std::cout << state.connections << " connections, " << state.messages << " messages" << std::endl;
}
