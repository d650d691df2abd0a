// SPDX-License-Identifier: MIT
// ProxyOptions has the settings of the PROXY protocol on a server's listeners. A proxy in front of
// the server begins each connection with a header that has the client's addresses (haproxy's
// proxy-protocol.txt).
#pragma once

#include <cstdint>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/net/address.h"
#include "reactor/net/network.h"

namespace reactor {

// ProxyProtocol is the header with which each connection must begin. The server never guesses
// whether there is one: a client that can omit the header can also forge one.
enum class ProxyProtocol : std::uint8_t {
  off,
  v1,      // a line of text
  v2,      // binary
  either,  // told apart by the first byte
};

struct ProxyOptions {
  ProxyProtocol protocol = ProxyProtocol::off;
  // The networks of the proxies. A connection from any other address is dropped at once, because
  // its sender could put anything into a header. A unix socket's peers have no network, so each of
  // them may send a header. The permissions of the socket's file decide who can connect.
  std::vector<Network> allow_from;
  Duration time_limit = std::chrono::seconds(3);  // for the header, counted from accept()
};

// ProxyStats counts the outcomes of accepted connections that had to begin with a header.
struct ProxyStats {
  std::uint64_t passed = 0;
  std::uint64_t not_allowed = 0;  // not from ProxyOptions::allow_from
  std::uint64_t malformed = 0;    // no header, or a broken one
  std::uint64_t timed_out = 0;
  std::uint64_t gone = 0;  // closed by the peer, or failed, before the whole header arrived
};

// ProxiedAddresses has the two ends of the client's connection to the proxy.
struct ProxiedAddresses {
  Address source;       // the client
  Address destination;  // the address that the client connected to

  friend bool operator==(const ProxiedAddresses&, const ProxiedAddresses&) = default;
};

}  // namespace reactor
