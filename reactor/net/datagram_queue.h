// SPDX-License-Identifier: MIT
// What a Datagram keeps while the kernel takes no more. Private to net/.
#pragma once

#include <cstddef>
#include <cstring>
#include <deque>
#include <vector>

#include "reactor/net/datagram.h"
#include "reactor/net/datagram_batch.h"

namespace reactor {

struct QueuedDatagram {
  explicit QueuedDatagram(const OutgoingMessage& message)
      : bytes(message.bytes.begin(), message.bytes.end()),
        to(message.name == nullptr ? Address() : Address::from(message.name, message.name_size)),
        info(message.info) {}

  [[nodiscard]] OutgoingMessage message() const noexcept {
    if (to.family() == AF_UNSPEC) return {bytes, nullptr, 0, info};
    return {bytes, to.data(), to.size(), info};
  }
  [[nodiscard]] bool goes_where(const OutgoingMessage& other) const noexcept {
    const bool connected = to.family() == AF_UNSPEC;
    if (connected || other.name == nullptr) return connected && other.name == nullptr;
    return to.size() == other.name_size && std::memcmp(to.data(), other.name, to.size()) == 0;
  }
  [[nodiscard]] std::size_t cost() const noexcept { return cost_of(bytes.size()); }
  [[nodiscard]] static std::size_t cost_of(std::size_t octets) noexcept { return octets + 128; }

  std::vector<std::byte> bytes;
  Address to;
  PacketInfo info;
};

struct Datagram::Queue {
  std::deque<QueuedDatagram> items;
  std::size_t cost = 0;
};

}  // namespace reactor
