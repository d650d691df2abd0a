// SPDX-License-Identifier: MIT
// DatagramExchange holds the buffers that all Datagrams of a loop share, so that an idle Datagram
// needs none. Private to net/.
#pragma once

#include "reactor/loop/loop.h"
#include "reactor/net/datagram/internal/datagram_batch.h"

namespace reactor {

class Datagram;

class DatagramExchange final : public LoopExtension {
 public:
  // Returns the loop's DatagramExchange, which is made at the first call.
  [[nodiscard]] static DatagramExchange& of(Loop& loop);

  // Delivery is the received batch. The messages from `next` on are still to be delivered. If a
  // handler throws, the rest stays here, and is delivered before anything else is received.
  struct Delivery {
    Datagram* socket = nullptr;  // null: there is no batch
    unsigned next = 0, count = 0;
    std::size_t offset = 0;  // bytes of message `next` that were delivered
  };

  ReceiveBatch incoming;
  Delivery delivery;

  // The Datagram that owns the collected datagrams; null if there are none.
  Datagram* collector = nullptr;
  std::uint32_t collected_in = 0;  // process generation: a forked child must not send them too
  SendBatch outgoing;
  // True while a batch is delivered: the collected datagrams are sent at its end.
  bool in_batch = false;

  // Sends the collected datagrams.
  void flush();
};

}  // namespace reactor
