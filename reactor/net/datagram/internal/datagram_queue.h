// SPDX-License-Identifier: MIT
// Datagram::Queue holds datagrams while the kernel accepts no more. Private to net/.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/datagram/internal/datagram_batch.h"

namespace reactor {

struct QueuedDatagram {
  QueuedDatagram(const OutgoingMessage& message, bool charged)
      : is_charged(charged),
        bytes(message.bytes.begin(), message.bytes.end()),
        to(message.name == nullptr ? Address() : Address::from(message.name, message.name_size)),
        info(message.info) {}

  [[nodiscard]] OutgoingMessage message() const noexcept {
    if (to.family() == AF_UNSPEC) return {bytes, nullptr, 0, info};
    return {bytes, to.data(), to.size(), info};
  }
  [[nodiscard]] std::size_t cost() const noexcept { return cost_of(bytes.size()); }
  [[nodiscard]] static std::size_t cost_of(std::size_t size) noexcept { return size + 128; }

  bool is_charged;  // SendShares has admitted it
  std::vector<std::byte> bytes;
  Address to;
  PacketInfo info;
};

// DatagramLine holds the datagrams that wait for one receiver.
struct DatagramLine {
  std::list<QueuedDatagram> datagrams;  // never empty in a queue
  std::size_t cost = 0;                 // of all datagrams in the line
  // The poller can't tell when a unix receiver has room. So the kernel is asked again at
  // `retry_at`, and each failure doubles the pause. Only the lines of unix receivers use these
  // three members.
  Duration pause = Datagram::kRetryDelay;
  TimePoint retry_at{};
  TimePoint gives_up_at{};
};

// The queue has a line for each unix receiver, so that a receiver that does not read blocks no
// other. All other datagrams are in the line "": with UDP it is our own send buffer that is full,
// and it is full for all receivers. A datagram never overtakes another one in the same line.
struct Datagram::Queue {
  // Returns the name of the line for `message`: the bytes of a unix receiver's address; "" for UDP
  // and for the peer of a connected socket.
  [[nodiscard]] static std::string_view line_of(const OutgoingMessage& message) noexcept {
    if (message.name == nullptr || message.name->sa_family != AF_UNIX) return {};
    return {reinterpret_cast<const char*>(message.name), message.name_size};
  }
  // Returns whether datagrams wait for room in our own buffer, which the poller reports.
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
