// SPDX-License-Identifier: MIT
// Connects to the first of the given addresses that answers: connect HOST:PORT [HOST:PORT...]
#include <iostream>
#include <stdexcept>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/connector.h"

int main(int argc, char** argv) try {
  if (argc < 2) throw std::invalid_argument("usage: connect HOST:PORT [HOST:PORT...]");
  std::vector<reactor::Address> addresses;
  for (int i = 1; i < argc; ++i) {
    const reactor::Result<reactor::Address> address = reactor::Address::parse(argv[i]);
    if (!address) {
      std::cerr << argv[i] << ": " << address.error().message() << "\n";
      return 2;
    }
    addresses.push_back(*address);
  }
  reactor::Loop loop;
  reactor::ConnectOptions options;
  options.timeout = std::chrono::seconds(5);
  int status = 1;
  const auto done = [&](const reactor::Result<reactor::Socket>& result) {
    status = result ? 0 : 1;
    std::cout << (result ? "connected to " + result->peer().value().to_string()
                         : "failed: " + result.error().message())
              << "\n";
  };
  const auto connector = reactor::Connector::connect(loop, addresses, options, done).value();
  loop.run().value();
  for (const reactor::ConnectAttempt& attempt : connector->attempts()) {
    if (attempt.error) {
      std::cout << attempt.address.to_string() << ": " << attempt.error.message() << "\n";
    }
  }
  return status;
} catch (const std::exception& error) {
  std::cerr << argv[0] << ": " << error.what() << '\n';
  return 1;
}
