// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor {

// A range of IPv4 or IPv6 addresses with a common prefix (CIDR, RFC 4632), as a value.
class Network {
 public:
  // "10.0.0.0/8", "fd00::/8"; an address without a length is that one host. IPv4 mapped into v6
  // ("::ffff:10.0.0.0/104") is IPv4. No zones, no names, no bits set behind the prefix: who writes
  // 10.0.0.1/8 may mean either.
  // Errors: Errc::bad_address.
  [[nodiscard]] static Result<Network> parse(std::string_view text);

  // Whether `address` lies in it, whatever its port and zone. An IPv4 address that is mapped into
  // v6, as a v6 wildcard's socket reports it, counts as IPv4. Never a unix address.
  [[nodiscard]] bool contains(const Address& address) const noexcept;

  // As parse() takes it: "10.0.0.0/8".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Network&, const Network&) = default;

 private:
  // IPv4 is kept mapped, with 96 bits more.
  using Bytes = std::array<std::uint8_t, 16>;
  Network(const Bytes& bytes, unsigned bits) noexcept : bytes_(bytes), bits_(bits) {}

  Bytes bytes_;
  unsigned bits_;
};

}  // namespace reactor
