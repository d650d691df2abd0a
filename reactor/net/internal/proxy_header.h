// SPDX-License-Identifier: MIT
// ProxyHeaderParser parses the header of the PROXY protocol, versions 1 and 2 (haproxy's
// proxy-protocol.txt), by which a proxy names the client for which it connects. Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reactor/net/proxy.h"

namespace reactor {

// The parser is strict and incremental, and does not allocate. It accepts the header in pieces of
// any size, and consumes no byte behind it. A connection without a header is bad. The extra fields
// of version 2 (TLVs) are skipped.
class ProxyHeaderParser {
 public:
  static constexpr std::size_t kMostV1 = 107;  // bytes, with CRLF
  // The most bytes of a header of version 2, although its length field allows 65,551. The preamble
  // and two addresses take up to 232 bytes. The rest is for TLVs, and is enough for a client's
  // certificate.
  static constexpr std::size_t kMostV2 = 4096;

  enum class State : std::uint8_t { more, done, bad };
  struct Step {
    State state;
    std::size_t consumed;  // bytes that belong to the header; all of them if more must come
  };

  // `protocol` must not be `off`.
  explicit ProxyHeaderParser(ProxyProtocol protocol) noexcept : protocol_(protocol) {}

  // Returns the version whose signature `bytes` begin with: v1, v2, or off if neither.
  [[nodiscard]] static ProxyProtocol version_of(std::span<const std::byte> bytes) noexcept;

  // Parses the next bytes. Once the state is done or bad, it stays so, and no more bytes are
  // consumed.
  [[nodiscard]] Step next(std::span<const std::byte> bytes) noexcept;

  // Returns whether any byte was taken.
  [[nodiscard]] bool begun() const noexcept { return taken_ > 0; }
  // Returns whether the whole signature of the wanted version has arrived. If the header is bad,
  // this tells why: true means that it is malformed; false, that it is missing or of another
  // version.
  [[nodiscard]] bool signed_well() const noexcept;

  // Returns the addresses of the client's connection when the header is complete. Empty if the
  // socket's own addresses apply: for a health check by the proxy itself, or if the header says
  // that the family is unknown.
  [[nodiscard]] const std::optional<ProxiedAddresses>& addresses() const noexcept {
    return addresses_;
  }

 private:
  static constexpr std::size_t kPreamble = 16;  // of version 2: up to and including the length
  static constexpr std::size_t kMostKept = kPreamble + 2 * 108;  // with two unix addresses

  [[nodiscard]] State take(char byte) noexcept;
  [[nodiscard]] State take_v1() noexcept;
  [[nodiscard]] State take_v2() noexcept;
  [[nodiscard]] State parse_line() noexcept;
  [[nodiscard]] State check_preamble() noexcept;
  void read_addresses() noexcept;
  [[nodiscard]] std::size_t length_v2() const noexcept;

  ProxyProtocol protocol_;
  State state_ = State::more;
  std::size_t taken_ = 0;
  std::array<char, kMostKept> kept_;  // the first bytes that were taken
  std::optional<ProxiedAddresses> addresses_;
};

// Returns a header of version 2 with these addresses. The header is LOCAL if `addresses` is null,
// or if the two addresses are of different families. Zones are left out. Throws std::bad_alloc.
[[nodiscard]] std::vector<std::byte> proxy_header(const ProxiedAddresses* addresses);

}  // namespace reactor
