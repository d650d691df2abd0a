// SPDX-License-Identifier: MIT
// Works like Python's UDPServer or UnixDatagramServer, depending on the address: sends data back in
// capitals. datagram_server [udp:HOST:PORT|unixgram:PATH]
#include <algorithm>
#include <cctype>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/endpoint.h"

class Handler final : public reactor::DatagramHandler {
  void on_datagram(reactor::Datagram& socket, const reactor::Message& message) override {
    std::cout << message.from().to_string() << " wrote: " << message.text() << std::endl;
    std::string answer(message.text());
    std::transform(answer.begin(), answer.end(), answer.begin(), ::toupper);
    socket.reply(message, answer);
  }
};

int main(int argc, char** argv) try {
  auto endpoint = reactor::Endpoint::parse(argc > 1 ? argv[1] : "udp:127.0.0.1:0").value();
  if (argc > 2 || endpoint.kind != reactor::Endpoint::Kind::datagram) {
    throw std::invalid_argument("usage: datagram_server [udp:HOST:PORT|unixgram:PATH]");
  }
  reactor::Loop loop;
  Handler handler;
  const auto server = reactor::Datagram::bind(loop, endpoint.address, handler).value();
  endpoint.address = server->address();
  std::cout << "listening on " << endpoint.to_string() << std::endl;
  const auto terminate = loop.on_signal(SIGTERM, [&] { loop.stop(); });
  loop.run().value();
} catch (const std::exception& error) {
  std::cerr << argv[argc - 1] << ": " << error.what() << '\n';
  return 1;
}
