// SPDX-License-Identifier: MIT
// An echo server that speaks TLS: example_tls_echo CERTIFICATE KEY, two files in PEM form.
#include <iostream>

#include "reactor/net/server.h"
#include "reactor/tls/connection.h"
#include "reactor/tls/server_context.h"

namespace {

class Echo final : public reactor::StreamHandler {
  void on_open(reactor::Stream& stream) override {  // the handshake is complete
    std::cout << reactor::tls::Connection::of(stream)->version() << std::endl;
  }
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write(bytes);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: example_tls_echo CERTIFICATE KEY\n";
    return 2;
  }
  std::string culprit;
  auto credentials = reactor::tls::Credentials::read(argv[1], argv[2], &culprit);
  if (!credentials) {
    std::cerr << culprit << ": " << credentials.error().message() << '\n';
    return 2;
  }
  auto context =
      reactor::tls::ServerContext::make({.credentials = std::move(*credentials)}).value();
  reactor::Loop loop;
  reactor::ServerLimits limits;
  limits.transports = context.get();
  const auto server =
      reactor::Server<Echo>::listen(loop, reactor::Address::loopback(0), limits).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  return loop.run() ? 0 : 1;
}
