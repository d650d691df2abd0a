// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/net/address.h"

namespace reactor {

class Message;

struct ReflectionLimits {
  // If true, sources with a port below 1024 are answered too. Such a source is more often another
  // server (echo, chargen, DNS) than a client.
  bool low_ports = false;
  // The most answers per second to one source. A source is an IPv4 address, or the /64 network of
  // an IPv6 address. The answers for one second may be sent in one burst. 0: no limit.
  std::uint32_t rate = 1000;
};

// ReflectionGuard decides whether a datagram server may answer a source. The source of a UDP
// datagram can be forged. So if a server answers everybody, an attacker can choose the receiver of
// its answers: a third party, all hosts of a network, or another server, which answers in turn, so
// that the exchange never ends (RFC 862 and CERT CA-1996-01).
//
// The guard has a fixed table of 32 KiB, in which each source has a cell. The chance that two
// sources share a cell, and so its limit, is 1 in 4,096. Datagrams of unix sockets are always
// answered, because their sources can't be forged. The guard belongs to one thread, and needs no
// loop.
class ReflectionGuard {
 public:
  enum class Verdict : std::uint8_t {
    answer,
    own_address,  // it comes from this server's address
    low_port,
    not_unicast,  // it was sent to a broadcast address or a group
    too_fast,
  };

  // `own` has the addresses to which the server is bound. For a wildcard, each source with the same
  // port counts as own: it is this host, or a server of the same kind on another host.
  ReflectionGuard(const ReflectionLimits& limits, std::vector<Address> own);

  // Decides whether a datagram may be answered, and counts the answer if so. `now` must not be
  // earlier than in the last call; use Loop::now().
  [[nodiscard]] Verdict judge(const Message& message, TimePoint now) noexcept;
  [[nodiscard]] Verdict judge(const Address& from, bool unicast, TimePoint now) noexcept;

 private:
  [[nodiscard]] bool is_own(const Address& from) const noexcept;
  [[nodiscard]] bool is_too_fast(const Address& from, TimePoint now) noexcept;

  ReflectionLimits limits_;
  std::vector<Address> own_;
  std::uint64_t seed_;
  std::vector<TimePoint> paid_until_;  // by a hash of the source; empty if there is no limit
};

// Returns the reason, for the log; "" for Verdict::answer.
[[nodiscard]] std::string_view to_string(ReflectionGuard::Verdict verdict) noexcept;

}  // namespace reactor
