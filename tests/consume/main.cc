// SPDX-License-Identifier: MIT
// An echo server that prints its port. Each way of using the library builds this program.
#include <iostream>

#include "reactor/loop/loop.h"
#include "reactor/net/server.h"

namespace {

class Echo final : public reactor::StreamHandler {
 public:
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write(bytes);
  }
};

}  // namespace

int main() {
  reactor::Loop loop;
  const auto server = reactor::Server<Echo>::listen(loop, reactor::Address::loopback(0)).value();
  std::cout << server->addresses().front().port() << std::endl;
  return loop.run() ? 0 : 1;
}
