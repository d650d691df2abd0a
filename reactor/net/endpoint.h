// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/net/address.h"

namespace reactor {

// An address and the kind of socket to open there, as a server's --bind takes and prints it. For
// streams these are all forms of Address; for datagrams `udp:HOST:PORT`, `unixgram:PATH` and
// `unixgram:@NAME`.
struct Endpoint {
  enum class Kind : std::uint8_t { stream, datagram };

  Endpoint() = default;
  Endpoint(const Address& where, Kind what = Kind::stream)  // NOLINT: implicit, for streams
      : address(where), kind(what) {}

  Address address;
  Kind kind = Kind::stream;

  // Parses these forms. Errors: those of Address::parse().
  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  // Returns the form that parse() takes.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace reactor
