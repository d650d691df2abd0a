// SPDX-License-Identifier: MIT
// Five processes on one port send OK to each client and log the connection. prefork_ok [ADDRESS]
#include <iostream>
#include <stdexcept>

#include "reactor/base/log.h"
#include "reactor/coro/coro.h"
#include "reactor/prefork/prefork.h"

namespace coro = reactor::coro;

coro::Task<> say_ok(coro::Stream stream) {
  REACTOR_LOG(info, "connection from " + stream.peer().value().to_string());
  (co_await stream.write("OK\n")).value();
}

int main(int argc, char** argv) try {
  if (argc > 2) throw std::invalid_argument("usage: prefork_ok [ADDRESS]");
  reactor::prefork::Options options;
  options.workers = 5;
  options.addresses = {reactor::Address::parse(argc > 1 ? argv[1] : "127.0.0.1:9090").value()};
  options.on_listening = [](const reactor::Endpoint& endpoint) {
    std::cout << "listening on " << endpoint.to_string() << std::endl;
  };
  return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
    auto server = coro::serve(worker.loop(), worker.listeners(), {}, say_ok).value();
    return worker.serve(*server);
  });
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
