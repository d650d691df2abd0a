// SPDX-License-Identifier: MIT
// DatagramExchange: what the Datagrams of one loop share, so that an idle one needs no room.
// Private to net/.
#pragma once

#include "reactor/loop/loop.h"
#include "reactor/net/datagram_batch.h"

namespace reactor {

class Datagram;

class DatagramExchange final : public LoopExtension {
 public:
  // The loop's one, made at the first call.
  [[nodiscard]] static DatagramExchange& of(Loop& loop);

  // Received, and to be handed over from `next` on. This outlives an exception of the handler,
  // after which the rest is handed over before anything else is received.
  struct Delivery {
    Datagram* socket = nullptr;  // null: nothing
    unsigned next = 0, count = 0;
    std::size_t offset = 0;  // octets of the message `next` that were handed over
  };

  ReceiveBatch incoming;
  Delivery delivery;

  // What is collected belongs to this one; null where nothing is.
  Datagram* collector = nullptr;
  std::uint32_t collected_in = 0;  // process generation: a child does not send it again
  SendBatch outgoing;
  // A batch is being handed over: what is collected leaves at its end.
  bool in_batch = false;

  // Sends what is collected.
  void flush();
};

}  // namespace reactor
