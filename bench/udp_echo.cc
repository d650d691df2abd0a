// SPDX-License-Identifier: MIT
// Runs an echo server for datagrams, and prints "listening on udp:ADDRESS:PORT".
//
// usage: udp_echo plain|batches|offload
//   plain    one system call for each datagram that is received, and one for each that is sent
//   batches  recvmmsg(2) and sendmmsg(2)
//   offload  also lets the kernel join datagrams (UDP_GRO, UDP_SEGMENT); the library's default
#include <iostream>
#include <string_view>

#include "reactor/net/datagram/datagram.h"

namespace {

class Echo final : public reactor::DatagramHandler {
  void on_datagram(reactor::Datagram& socket, const reactor::Message& message) override {
    socket.reply(message, message.bytes());
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "offload";
  reactor::DatagramOptions options;
  options.batches = mode != "plain";
  options.segmentation_offload = options.receive_offload = mode == "offload";
  reactor::Loop loop;
  Echo echo;
  const auto socket =
      reactor::Datagram::bind(loop, reactor::Address::loopback(0), echo, options).value();
  std::cout << "listening on udp:" << socket->address().to_string() << std::endl;
  loop.run().value();
}
