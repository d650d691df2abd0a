// SPDX-License-Identifier: MIT
// HandOverMessage: the message that a connection takes to another process. The process that reads
// it may run another version of the program, so no message may crash it.
#include "reactor/net/internal/hand_over_message.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "reactor/net/internal/proxy_header.h"

namespace reactor {
namespace {

using Bytes = std::vector<std::byte>;

Bytes state_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string state_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// MessageParts has the parts of a message, for tests to compare.
struct MessageParts {
  std::optional<ProxiedAddresses> addresses;
  HandledBy handled_by;
  std::string state;
  bool operator==(const MessageParts&) const = default;
};

// Decodes a copy of `message` that has memory of exactly its size, so that a sanitizer reports
// reads beyond it. Returns nothing if the message is bad.
std::optional<MessageParts> decode_copy(std::span<const std::byte> message) {
  const Bytes exact(message.begin(), message.end());
  const Result<HandOverMessage> decoded = HandOverMessage::decode(exact);
  if (decoded)
    return MessageParts{decoded->addresses, decoded->handled_by, state_text(decoded->state)};
  EXPECT_EQ(decoded.error(), std::errc::bad_message);
  return std::nullopt;
}

struct MessageCase {
  std::string_view name;
  std::optional<ProxiedAddresses> addresses;
};

class HandOverMessages : public ::testing::TestWithParam<MessageCase> {
 protected:
  [[nodiscard]] static const ProxiedAddresses* addresses() {
    return GetParam().addresses ? &*GetParam().addresses : nullptr;
  }
  [[nodiscard]] static Bytes encode(HandledBy handled_by, std::string_view state) {
    return HandOverMessage::encode(addresses(), handled_by, state_bytes(state));
  }
  // Returns the size of a message without a state.
  [[nodiscard]] static std::size_t head() { return encode(HandledBy::server, "").size(); }
};

TEST_P(HandOverMessages, ArriveAsTheyWereSent) {
  const std::string all_bytes = [] {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
    return text;
  }();
  for (const HandledBy handled_by : {HandledBy::server, HandledBy::other}) {
    for (const std::string& state : {std::string(), std::string("s"), all_bytes}) {
      EXPECT_EQ(decode_copy(encode(handled_by, state)),
                (MessageParts{GetParam().addresses, handled_by, state}));
    }
  }
}

TEST_P(HandOverMessages, AreRefusedIfTheHandlerIsUnknown) {
  Bytes message = encode(HandledBy::server, "state");
  for (unsigned byte = 2; byte < 256; ++byte) {
    message[head() - 1] = static_cast<std::byte>(byte);
    EXPECT_EQ(decode_copy(message), std::nullopt) << byte;
  }
}

// The state has no length of its own, because a message arrives as a whole or not at all.
TEST_P(HandOverMessages, AreBadOrHaveAShorterStateIfTheyAreCut) {
  const Bytes message = encode(HandledBy::other, "state");
  for (std::size_t size = 0; size < message.size(); ++size) {
    const std::optional<MessageParts> parts = decode_copy(std::span(message).first(size));
    ASSERT_EQ(parts.has_value(), size >= head()) << size;
    if (!parts) continue;
    EXPECT_EQ(*parts, (MessageParts{GetParam().addresses, HandledBy::other,
                                    std::string("state").substr(0, size - head())}));
  }
}

// Most changes of the header make it bad, and others give other addresses.
TEST_P(HandOverMessages, CrashNobodyIfAByteIsChanged) {
  const Bytes message = encode(HandledBy::server, "state");
  for (std::size_t at = 0; at < message.size(); ++at) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      Bytes changed = message;
      changed[at] = static_cast<std::byte>(byte);
      static_cast<void>(decode_copy(changed));
    }
  }
}

std::vector<MessageCase> message_cases() {
  const auto address = [](std::string_view text) { return Address::parse(text).value(); };
  return {{"none", std::nullopt},
          {"v4", ProxiedAddresses{address("192.0.2.1:56324"), address("192.0.2.2:443")}},
          {"v6", ProxiedAddresses{address("[2001:db8::1]:56324"), address("[2001:db8::2]:443")}},
          {"unix", ProxiedAddresses{address("unix:/run/client"), address("unix:/run/server")}}};
}

INSTANTIATE_TEST_SUITE_P(All, HandOverMessages, ::testing::ValuesIn(message_cases()),
                         [](const ::testing::TestParamInfo<MessageCase>& one) {
                           return std::string(one.param.name);
                         });

TEST(HandOverMessage, NamesNoAddressesIfTheyAreOfTwoFamilies) {
  const ProxiedAddresses mixed{Address::loopback(1), Address::v6_loopback(2)};
  EXPECT_EQ(decode_copy(HandOverMessage::encode(&mixed, HandledBy::server, {})),
            (MessageParts{std::nullopt, HandledBy::server, ""}));
}

TEST(HandOverMessage, IsBadWithoutAHeaderOfVersion2) {
  const Bytes header = proxy_header(nullptr);
  EXPECT_EQ(decode_copy({}), std::nullopt);
  EXPECT_EQ(decode_copy(header), std::nullopt) << "nothing follows the header";
  EXPECT_EQ(decode_copy(state_bytes("state")), std::nullopt);
  EXPECT_EQ(decode_copy(Bytes(1000)), std::nullopt);
  EXPECT_EQ(decode_copy(state_bytes(std::string("PROXY UNKNOWN\r\n\0state", 21))), std::nullopt);
}

}  // namespace
}  // namespace reactor
