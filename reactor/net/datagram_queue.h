// SPDX-License-Identifier: MIT
// What a Datagram keeps while the kernel takes no more. Private to net/.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
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
  [[nodiscard]] std::size_t cost() const noexcept { return cost_of(bytes.size()); }
  [[nodiscard]] static std::size_t cost_of(std::size_t octets) noexcept { return octets + 128; }

  std::vector<std::byte> bytes;
  Address to;
  PacketInfo info;
};

// What waits for one receiver.
struct DatagramLine {
  std::list<QueuedDatagram> datagrams;  // never empty in a queue
  std::size_t cost = 0;                 // of all of them
  // The poller can't tell when a unix receiver has room, so it is asked: at `retry_at`, and after
  // that each time after twice the pause. These are for such lines only.
  Duration pause = Datagram::kRetryDelay;
  TimePoint retry_at{};
  TimePoint gives_up_at{};
};

// What comes later never overtakes what is queued for the same receiver. A unix receiver that does
// not read blocks nobody else: it has a line of its own. With UDP it is our own buffer that is
// full, for all of them.
struct Datagram::Queue {
  // The bytes of a unix receiver's name; none for UDP, and for whom the socket is connected to.
  [[nodiscard]] static std::string_view line_of(const OutgoingMessage& message) noexcept {
    if (message.name == nullptr || message.name->sa_family != AF_UNIX) return {};
    return {reinterpret_cast<const char*>(message.name), message.name_size};
  }
  // Whether something waits for our own buffer: the poller tells when that has room.
  [[nodiscard]] bool awaits_own_buffer() const noexcept { return lines.contains(""); }
  [[nodiscard]] std::size_t cost_of(std::string_view name) const noexcept {
    const auto found = lines.find(name);
    return found == lines.end() ? 0 : found->second.cost;
  }
  void drop_front(DatagramLine& line) noexcept {
    const std::size_t gone = line.datagrams.front().cost();
    line.cost -= gone;
    cost -= gone;
    line.datagrams.pop_front();
  }

  std::map<std::string, DatagramLine, std::less<>> lines;
  std::size_t cost = 0;
};

}  // namespace reactor
