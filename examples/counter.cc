// SPDX-License-Identifier: MIT
// A server whose connections have state that survives a reload (HUP) and an upgrade (USR2): it
// answers each line with the number of lines that came on the connection so far.
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "reactor/net/server.h"
#include "reactor/prefork/prefork.h"

namespace {

class Counter final : public reactor::StreamHandler {
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    for (const std::byte byte : bytes) {
      if (byte == std::byte{'\n'}) stream.write(std::to_string(++lines_) + "\n");
    }
  }
  // A worker that is about to end asks whether this connection may move to another process, and
  // takes the state to pass on. It does not ask while written bytes are still unsent.
  reactor::HandOver on_hand_over(reactor::Stream&, std::vector<std::byte>& state) override {
    state.resize(sizeof lines_);
    std::memcpy(state.data(), &lines_, sizeof lines_);
    return reactor::HandOver::now;
  }
  // Called in the other process instead of on_open(). The state may be from another version of the
  // program, so it is checked.
  void on_adopt(reactor::Stream&, std::span<const std::byte> state) override {
    if (state.size() == sizeof lines_) std::memcpy(&lines_, state.data(), sizeof lines_);
  }

  std::uint64_t lines_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  reactor::prefork::Options options;
  options.addresses = {reactor::Address::parse("127.0.0.1:0").value()};
  options.workers = 2;
  options.upgrade.command.assign(argv, argv + argc);
  options.on_listening = [](const reactor::Endpoint& endpoint) {
    std::cout << "listening on " << endpoint.to_string() << std::endl;
  };
  return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
    auto server = reactor::Server<Counter>::adopt(worker.loop(), worker.listeners(), {}).value();
    return worker.serve(*server);
  });
}
