// SPDX-License-Identifier: MIT
// Works like Python's TCPServer or UnixStreamServer, depending on the address, with a
// StreamRequestHandler: sends each client's line back in capitals. stream_server [ADDRESS]
#include <algorithm>
#include <cctype>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>

#include "reactor/coro/coro.h"

namespace coro = reactor::coro;

coro::Task<> handle(coro::Stream stream) {
  const auto line = (co_await stream.read_line(1024)).value();  // self.rfile.readline().strip()
  if (!line) co_return;
  std::cout << stream.peer().value().to_string() << " wrote: " << *line << std::endl;
  std::string answer(*line);
  std::transform(answer.begin(), answer.end(), answer.begin(), ::toupper);
  (co_await stream.write(answer)).value();  // self.wfile.write(...)
}

int main(int argc, char** argv) try {
  if (argc > 2) throw std::invalid_argument("usage: stream_server [ADDRESS]");
  const auto address = reactor::Address::parse(argc > 1 ? argv[1] : "127.0.0.1:0").value();
  reactor::Loop loop;
  auto server = coro::serve(loop, address, handle).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  const auto terminate = loop.on_signal(SIGTERM, [&] { server->drain([&] { loop.stop(); }); });
  loop.run().value();
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
