// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/net/address.h"

namespace reactor {

// Endpoint is an address and the kind of socket to open there. A server's --bind option accepts
// endpoints as text, and servers print them in the same way. A stream endpoint is written in any
// form of Address, a datagram endpoint as `udp:HOST:PORT`, `unixgram:PATH` or `unixgram:@NAME`.
struct Endpoint {
  enum class Kind : std::uint8_t { stream, datagram };

  Endpoint() = default;
  Endpoint(const Address& where, Kind what = Kind::stream)  // NOLINT: implicit, for streams
      : address(where), kind(what) {}

  Address address;
  Kind kind = Kind::stream;

  // Parses the forms above. Errors: those of Address::parse().
  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  // Returns the form that parse() accepts.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace reactor
