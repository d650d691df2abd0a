// SPDX-License-Identifier: MIT
// Handlers of the allocation scenarios.
#pragma once

#include <span>
#include <system_error>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/stream/stream.h"
#include "tests/adversity/allocations/scene.h"

namespace reactor::allocations {

// Reports the error that ends its Stream to the scene.
class Teller : public StreamHandler {
 public:
  Teller() noexcept = default;
  explicit Teller(Scene& scene) noexcept : scene_(&scene) {}

  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    if (when_data) when_data(stream, bytes);
  }
  void on_timeout(Stream& stream) override {
    when_timeout ? when_timeout(stream) : StreamHandler::on_timeout(stream);
  }
  void on_close(Stream&, std::error_code error) noexcept override {
    closed = true;
    ++closes;
    if (scene_ != nullptr) scene_->tell(error);
  }

  Callback<void(Stream&, std::span<std::byte>)> when_data;
  Callback<void(Stream&)> when_timeout;
  bool closed = false;
  int closes = 0;

 private:
  Scene* scene_ = nullptr;
};

// Sends back the bytes that come. A Server makes one Echo for each connection.
class Echo final : public StreamHandler {
 public:
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
  HandOver on_hand_over(Stream&, std::vector<std::byte>& state) override {
    state.push_back(std::byte{1});
    return HandOver::now;
  }
};

class Echoes final : public DatagramHandler {
 public:
  explicit Echoes(Scene& scene) noexcept : scene_(scene) {}
  void on_datagram(Datagram& socket, const Message& message) override {
    ++count;
    if (echoes) socket.reply(message, message.bytes());
  }
  void on_error(Datagram&, std::error_code error) override { scene_.tell(error); }

  int count = 0;
  bool echoes = true;

 private:
  Scene& scene_;
};

}  // namespace reactor::allocations
