// SPDX-License-Identifier: MIT
// Serves each connection in a process, which may block without harm, and answers `PID: data`.
// forking_echo [ADDRESS]
#include <unistd.h>

#include <iostream>
#include <stdexcept>
#include <string>

#include "reactor/coro/coro.h"
#include "reactor/prefork/prefork.h"

namespace coro = reactor::coro;

coro::Task<> echo(coro::Stream stream) {
  for (;;) {
    const auto data = (co_await stream.read_some()).value();
    if (data.empty()) co_return;
    std::string answer = std::to_string(::getpid()) + ": ";
    (co_await stream.write(answer += data)).value();
  }
}

int main(int argc, char** argv) try {
  if (argc > 2) throw std::invalid_argument("usage: forking_echo [ADDRESS]");
  reactor::prefork::Options options;
  options.model = reactor::prefork::Model::fork;
  options.workers = 1;
  options.addresses = {reactor::Address::parse(argc > 1 ? argv[1] : "127.0.0.1:0").value()};
  options.on_listening = [](const reactor::Endpoint& endpoint) {
    std::cout << "listening on " << endpoint.to_string() << std::endl;
  };
  return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
    auto server = coro::serve(worker.loop(), worker.listeners(), {}, echo).value();
    return worker.serve(*server);
  });
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
