// SPDX-License-Identifier: MIT
// A server with a slow handler: answers `Echo=>data at TIME` after five seconds, but `ping` at
// once. No client waits for another: each has a coroutine in one loop or, with `fork`, a process.
// dispatcher [SECONDS] [fork]
#include <charconv>
#include <ctime>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

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

std::chrono::seconds seconds(const std::string& text) {
  unsigned count = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end) return std::chrono::seconds(count);
  throw std::invalid_argument(text + ": not a number of seconds");
}

int main(int argc, char** argv) try {
  const auto delay = seconds(argc > 1 ? argv[1] : "5");
  const bool fork = argc == 3 && argv[2] == std::string_view("fork");
  if (argc > 2 && !fork) {
    throw std::invalid_argument(argv[argc - 1] +
                                std::string(": usage: dispatcher [SECONDS] [fork]"));
  }
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
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
