// SPDX-License-Identifier: MIT
// HandOverMessage is the message that is sent to another process together with a connection. It is
// empty if the sending process only accepted the connection. Otherwise it has three parts:
//
//   PROXY header, version 2        the addresses that a proxy announced, or LOCAL for none
//   one byte                       which handler the connection had (HandledBy)
//   the handler's state            filled in by on_hand_over(); may be empty
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/hand_over.h"
#include "reactor/net/proxy.h"

namespace reactor {

struct HandOverMessage {
  std::optional<ProxiedAddresses> addresses;
  HandledBy handled_by = HandledBy::server;
  std::span<const std::byte> state;

  // Returns the message. `addresses` is null if no proxy announced any. Throws std::bad_alloc.
  [[nodiscard]] static std::vector<std::byte> encode(const ProxiedAddresses* addresses,
                                                     HandledBy handled_by,
                                                     std::span<const std::byte> state);
  // Returns the parts of `message`. The result's `state` points into `message`. Errors: bad_message
  // if encode() did not make the message.
  [[nodiscard]] static Result<HandOverMessage> decode(std::span<const std::byte> message);
};

}  // namespace reactor
