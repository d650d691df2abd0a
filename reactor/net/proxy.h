// SPDX-License-Identifier: MIT
// The PROXY protocol of a server's listeners: a proxy in front says in a header before everything
// else whose connection it is (haproxy's proxy-protocol.txt).
#pragma once

#include <cstdint>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/net/address.h"
#include "reactor/net/network.h"

namespace reactor {

// Which header each connection begins with. It is never guessed whether there is one: whoever may
// leave it out may also make one up.
enum class ProxyProtocol : std::uint8_t {
  off,
  v1,      // a line of text
  v2,      // binary
  either,  // told apart by the first octet
};

struct ProxyOptions {
  ProxyProtocol protocol = ProxyProtocol::off;
  // The proxies: who connects from elsewhere is dropped at once, as a header says whatever its
  // sender likes. Unix sockets have no network: their file's permissions decide, and all may send.
  std::vector<Network> allow_from;
  Duration time_limit = std::chrono::seconds(3);  // for the header, from accept on
};

// What became of connections that had to begin with a header. All were accepted.
struct ProxyStats {
  std::uint64_t passed = 0;
  std::uint64_t not_allowed = 0;  // not from ProxyOptions::allow_from
  std::uint64_t malformed = 0;    // no header, or a broken one
  std::uint64_t timed_out = 0;
  std::uint64_t gone = 0;  // closed by the peer, or broken, before the header was whole
};

// The two ends of the client's connection to the proxy.
struct ProxiedAddresses {
  Address source;       // the client
  Address destination;  // where it connected to

  friend bool operator==(const ProxiedAddresses&, const ProxiedAddresses&) = default;
};

}  // namespace reactor
