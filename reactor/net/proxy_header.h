// SPDX-License-Identifier: MIT
// ProxyHeaderParser: the PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt),
// which tells whose connection it is that a proxy makes. Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reactor/net/proxy.h"

namespace reactor {

// Strict, incremental, without allocation: takes the header in any pieces and not one octet more.
// There is no such thing as no header. TLVs are skipped unread.
class ProxyHeaderParser {
 public:
  static constexpr std::size_t kMostV1 = 107;  // octets, with CRLF
  // Of version 2, whose length field could say 65,551. Addresses take 232, TLVs the rest: a
  // client's certificate fits.
  static constexpr std::size_t kMostV2 = 4096;

  enum class State : std::uint8_t { more, done, bad };
  struct Step {
    State state;
    std::size_t consumed;  // octets of the header; all of them where there is more to come
  };

  // `protocol` is not off.
  explicit ProxyHeaderParser(ProxyProtocol protocol) noexcept : protocol_(protocol) {}

  // The version whose signature `bytes` begin with: v1, v2, or off where it is neither.
  [[nodiscard]] static ProxyProtocol version_of(std::span<const std::byte> bytes) noexcept;

  // Once done or bad it stays so, and takes nothing.
  [[nodiscard]] Step next(std::span<const std::byte> bytes) noexcept;

  // Whether anything was taken.
  [[nodiscard]] bool begun() const noexcept { return taken_ > 0; }
  // Whether the signature has come: a header that is bad behind it is one of the right version.
  [[nodiscard]] bool signed_well() const noexcept;

  // Once done: what the proxy says, or nothing where the socket's own addresses stand (a health
  // check of the proxy's own, a family that it does not know).
  [[nodiscard]] const std::optional<ProxiedAddresses>& addresses() const noexcept {
    return addresses_;
  }

 private:
  static constexpr std::size_t kPreamble = 16;                   // of version 2: up to the length
  static constexpr std::size_t kMostKept = kPreamble + 2 * 108;  // with two unix addresses

  [[nodiscard]] State take(char octet) noexcept;
  [[nodiscard]] State take_v1() noexcept;
  [[nodiscard]] State take_v2() noexcept;
  [[nodiscard]] State parse_line() noexcept;
  [[nodiscard]] State check_preamble() noexcept;
  void read_addresses() noexcept;
  [[nodiscard]] std::size_t length_v2() const noexcept;

  ProxyProtocol protocol_;
  State state_ = State::more;
  std::size_t taken_ = 0;
  std::array<char, kMostKept> kept_;  // the first of what was taken
  std::optional<ProxiedAddresses> addresses_;
};

// A header of version 2 that says the same: LOCAL where `addresses` is null, or its two are of
// different families. Zones are left out. Throws std::bad_alloc.
[[nodiscard]] std::vector<std::byte> proxy_header(const ProxiedAddresses* addresses);

}  // namespace reactor
