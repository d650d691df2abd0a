// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/net/address.h"

namespace reactor {

// An address with the kind of socket that belongs there, as a server's --bind takes and prints it:
// all forms of Address for streams; `udp:HOST:PORT` and `unixgram:PATH`, `unixgram:@NAME` for
// datagrams.
struct Endpoint {
  enum class Kind : std::uint8_t { stream, datagram };

  Endpoint() = default;
  Endpoint(const Address& where, Kind what = Kind::stream)  // NOLINT: an address is one for streams
      : address(where), kind(what) {}

  Address address;
  Kind kind = Kind::stream;

  // Errors: those of Address::parse().
  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  // As parse() takes it.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace reactor
