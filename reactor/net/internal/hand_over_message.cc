// SPDX-License-Identifier: MIT
#include "reactor/net/internal/hand_over_message.h"

#include <system_error>

#include "reactor/net/internal/proxy_header.h"

namespace reactor {

std::vector<std::byte> HandOverMessage::encode(const ProxiedAddresses* addresses,
                                               HandledBy handled_by,
                                               std::span<const std::byte> state) {
  std::vector<std::byte> message = proxy_header(addresses);
  message.push_back(static_cast<std::byte>(handled_by));
  message.insert(message.end(), state.begin(), state.end());
  return message;
}

Result<HandOverMessage> HandOverMessage::decode(std::span<const std::byte> message) {
  ProxyHeaderParser header(ProxyProtocol::v2);
  const ProxyHeaderParser::Step step = header.next(message);
  if (step.state != ProxyHeaderParser::State::done || step.consumed == message.size()) {
    return std::make_error_code(std::errc::bad_message);
  }
  HandOverMessage decoded;
  decoded.addresses = header.addresses();
  decoded.handled_by = HandledBy{std::to_integer<std::uint8_t>(message[step.consumed])};
  if (decoded.handled_by > HandledBy::other) return std::make_error_code(std::errc::bad_message);
  decoded.state = message.subspan(step.consumed + 1);
  return decoded;
}

}  // namespace reactor
