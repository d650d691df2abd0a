// SPDX-License-Identifier: MIT
// An echo server on every core: a master binds and supervises, each worker runs one loop.
#include <iostream>

#include "reactor/net/server.h"
#include "reactor/prefork/prefork.h"

namespace {

class Echo final : public reactor::StreamHandler {  // one per connection
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write(bytes);  // a peer that does not read is paused, never buffered without end
  }
};

}  // namespace

int main() {
  reactor::prefork::Options options;
  options.addresses = {reactor::Address::parse("127.0.0.1:0").value()};
  options.workers = 2;
  options.on_listening = [](const reactor::Endpoint& endpoint) {
    std::cout << "listening on " << endpoint.to_string() << std::endl;
  };
  return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
    auto server = reactor::Server<Echo>::adopt(worker.loop(), worker.listeners(), {}).value();
    return worker.serve(*server);
  });
}
