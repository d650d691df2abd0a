// SPDX-License-Identifier: MIT
// Works like handle_request() of a Python server: serves one connection and returns.
// handle_request [ADDRESS]
#include <iostream>
#include <memory>
#include <stdexcept>
#include <utility>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

coro::Task<> handle(coro::Stream stream) { (co_await stream.write("only you\n")).value(); }

coro::Task<> handle_request(std::unique_ptr<coro::Listener> server) {
  co_await handle((co_await server->accept()).value());
}  // the server is destroyed here

int main(int argc, char** argv) try {
  if (argc > 2) throw std::invalid_argument("usage: handle_request [ADDRESS]");
  const auto address = reactor::Address::parse(argc > 1 ? argv[1] : "127.0.0.1:0").value();
  reactor::Loop loop;
  auto server = coro::Listener::listen(loop, address).value();
  std::cout << "listening on " << server->address().to_string() << std::endl;
  coro::spawn(loop, handle_request(std::move(server))).detach();
  loop.run().value();  // nothing else is left to wait for
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
