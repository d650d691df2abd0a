// SPDX-License-Identifier: MIT
// The dispatcher whose handler takes its time: `Echo=>data at TIME` five seconds later; `ping` is
// answered at once. Nobody waits for anybody else, by coroutines in one loop, or with `fork` by a
// process per connection, each of which is waited for: dispatcher [SECONDS] [fork]
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>

#include "reactor/coro/coro.h"
#include "reactor/prefork/prefork.h"

namespace coro = reactor::coro;

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::string text = std::ctime(&time);
  text.pop_back();
  return text;
}

coro::Task<> handle(reactor::Duration delay, coro::Stream stream) {
  const auto line = (co_await stream.read_line(1024)).value();
  if (!line) co_return;
  const std::string data(*line);
  if (data != "ping") co_await coro::sleep_for(delay);  // time.sleep(5)
  (co_await stream.write("Echo=>" + data + " at " + now() + "\n")).value();
}

int main(int argc, char** argv) {
  const auto delay = std::chrono::milliseconds(argc > 1 ? 1000 * std::atoi(argv[1]) : 5000);
  const bool fork = argc > 2 && std::string(argv[2]) == "fork";
  reactor::prefork::Options options;
  options.model = fork ? reactor::prefork::Model::fork : reactor::prefork::Model::prefork;
  options.workers = 1;
  options.addresses = {reactor::Address::loopback(0)};
  options.on_listening = [](const reactor::Endpoint& endpoint) {
    std::cout << "listening on " << endpoint.to_string() << std::endl;
  };
  return reactor::prefork::run(std::move(options), [delay](reactor::prefork::Worker& worker) {
    const auto handler = [delay](coro::Stream stream) { return handle(delay, std::move(stream)); };
    auto server = coro::serve(worker.loop(), worker.listeners(), {}, handler).value();
    return worker.serve(*server);
  });
}
