// SPDX-License-Identifier: MIT
// This header helps the tests of datagrams: a handler that records its calls, and a peer that is a
// plain socket.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/net/datagram/datagram.h"
#include "tests/support/loop_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor {

[[nodiscard]] inline Address parse_address(std::string_view text) {
  return Address::parse(text).value();
}

// Records its calls. A hook runs in addition.
class DatagramRecorder : public DatagramHandler {
 public:
  void on_datagram(Datagram& socket, const Message& message) override {
    got.emplace_back(message.text());
    truncated.push_back(message.truncated());
    if (echoes) socket.reply(message, message.bytes());
    if (when_datagram) when_datagram(socket, message);
  }
  void on_batch_end(Datagram& socket) override {
    ++batches;
    if (when_batch_end) when_batch_end(socket);
  }
  void on_drain(Datagram& socket) override {
    ++drains;
    if (when_drain) when_drain(socket);
  }
  void on_error(Datagram& socket, std::error_code error) override {
    errors.push_back(error);
    if (when_error) when_error(socket);
  }

  Callback<void(Datagram&, const Message&)> when_datagram;
  Callback<void(Datagram&)> when_batch_end, when_drain, when_error;
  std::vector<std::string> got;
  std::vector<bool> truncated;
  std::vector<std::error_code> errors;
  int batches = 0, drains = 0;
  bool echoes = false;
};

// The other end, a plain non-blocking socket.
class DatagramPeer {
 public:
  explicit DatagramPeer(const Address& local) : fd_(::socket(local.family(), kType, 0)) {
    EXPECT_EQ(::bind(fd_.get(), local.data(), local.size()), 0) << local.to_string();
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Address address() const { return Socket::local_address(fd()).value(); }

  bool send(std::string_view text, const Address& to) const {
    return ::sendto(fd(), text.data(), text.size(), 0, to.data(), to.size()) >= 0;
  }
  // Takes all datagrams that are there. `from` is the sender of the last one.
  void read() {
    std::string room(70000, '\0');
    while (true) {
      sockaddr_storage name{};
      socklen_t size = sizeof(name);
      const ssize_t count =
          ::recvfrom(fd(), room.data(), room.size(), 0, reinterpret_cast<sockaddr*>(&name), &size);
      if (count < 0) return;
      got.emplace_back(room, 0, static_cast<std::size_t>(count));
      from = Address::from(reinterpret_cast<const sockaddr*>(&name), size);
    }
  }

  std::vector<std::string> got;
  Address from;

 private:
#if defined(SOCK_NONBLOCK)
  static constexpr int kType = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
#else
  static constexpr int kType = SOCK_DGRAM;
#endif
  UniqueFd fd_;
};

}  // namespace reactor
