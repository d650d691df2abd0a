// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor {

// Network is a range of IPv4 or IPv6 addresses with a common prefix (CIDR, RFC 4632).
class Network {
 public:
  // Parses "10.0.0.0/8" or "fd00::/8". An address without a length stands for that one host. IPv4
  // mapped into v6 ("::ffff:10.0.0.0/104") counts as IPv4. Refuses zones and names. Also refuses an
  // address with bits set after the prefix: 10.0.0.1/8 could mean the host or the network. Errors:
  // Errc::bad_address.
  [[nodiscard]] static Result<Network> parse(std::string_view text);

  // Returns whether `address` is in this network. Ignores its port and zone. An IPv4 address mapped
  // into v6, as a socket at a v6 wildcard reports it, counts as IPv4. A unix address is in no
  // network.
  [[nodiscard]] bool contains(const Address& address) const noexcept;

  // Returns the form that parse() accepts: "10.0.0.0/8".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Network&, const Network&) = default;

 private:
  // IPv4 is kept mapped into v6, so its prefix is 96 bits longer here.
  using Bytes = std::array<std::uint8_t, 16>;
  Network(const Bytes& bytes, unsigned bits) noexcept : bytes_(bytes), bits_(bits) {}

  Bytes bytes_;
  unsigned bits_;
};

}  // namespace reactor
