// SPDX-License-Identifier: MIT
// A server and a client that speak TLS, with coroutines: example_tls_coro CERTIFICATE KEY, two
// files in PEM form, for localhost.
#include <iostream>
#include <system_error>

#include "reactor/coro/coro.h"
#include "reactor/tls/client_context.h"
#include "reactor/tls/server_context.h"

namespace coro = reactor::coro;
namespace tls = reactor::tls;

coro::Task<> greet(coro::Stream stream) {  // begins after the handshake
  while (const auto name = (co_await stream.read_line(100)).value()) {
    const std::string greeting = "hello, " + std::string(*name) + "\n";
    (co_await stream.write(greeting)).value();
  }
}

coro::Task<> run(reactor::Loop& loop, tls::ServerContext& serving, tls::ClientContext& asking) {
  reactor::ServerLimits limits;
  limits.transports = &serving;
  auto server = coro::serve(loop, reactor::Address::loopback(0), limits, greet).value();

  auto transport = asking.transport_for("localhost").value();
  auto stream = (co_await coro::connect(server->addresses().front(), std::move(transport))).value();
  (co_await stream.write("client\n")).value();  // waits until the server is authenticated
  const auto answer = (co_await stream.read_line(100)).value();
  std::cout << answer.value_or("no answer") << std::endl;
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: example_tls_coro CERTIFICATE KEY\n";
    return 2;
  }
  std::string culprit;
  auto credentials = tls::Credentials::read(argv[1], argv[2], &culprit);
  if (!credentials) {
    std::cerr << culprit << ": " << credentials.error().message() << '\n';
    return 2;
  }
  auto serving = tls::ServerContext::make({.credentials = std::move(*credentials)}).value();
  auto asking = tls::ClientContext::make({.ca_file = argv[1]}).value();
  reactor::Loop loop;
  coro::spawn(loop, run(loop, *serving, *asking)).detach();
  loop.run().value();
} catch (const std::system_error& error) {  // a certificate that is not for localhost
  std::cerr << "example_tls_coro: " << error.what() << '\n';
  return 1;
}
