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
  // Answers sources with a port below 1024 too. Such a source is more often another service (echo,
  // chargen, DNS) than a client.
  bool low_ports = false;
  // Answers a second to one source: its IPv4 address, or the /64 network of its IPv6 address. A
  // second's worth may leave at once. 0: no limit.
  std::uint32_t rate = 1000;
};

// Decides whether a datagram server may answer a source. Nobody can tell whether the source of a
// UDP datagram is true. So a server that answers everybody can be made to send to a third party, to
// all hosts of a network, or to another server that answers it again, for ever (RFC 862 and CERT
// CA-1996-01).
//
// The guard takes a fixed 32 KiB, whatever comes. Sources share the limit of a cell by chance, 1 in
// 4,096. Datagrams of unix sockets, whose sources can't be forged, are always answered. Belongs to
// one thread; needs no loop.
class ReflectionGuard {
 public:
  enum class Verdict : std::uint8_t {
    answer,
    own_address,  // it comes from this server
    low_port,
    not_unicast,  // it was sent to a broadcast address or a group
    too_fast,
  };

  // `own`: where the server is bound. At a wildcard each source with that port counts as own: it is
  // this host, or a server of the same kind on another one.
  ReflectionGuard(const ReflectionLimits& limits, std::vector<Address> own);

  // Counts the answer, if it is one. `now`, as of Loop::now(): not before that of the last call.
  [[nodiscard]] Verdict judge(const Message& message, TimePoint now) noexcept;
  [[nodiscard]] Verdict judge(const Address& from, bool unicast, TimePoint now) noexcept;

 private:
  [[nodiscard]] bool is_own(const Address& from) const noexcept;
  [[nodiscard]] bool is_too_fast(const Address& from, TimePoint now) noexcept;

  ReflectionLimits limits_;
  std::vector<Address> own_;
  std::uint64_t seed_;
  std::vector<TimePoint> paid_until_;  // by a hash of the source; none without a limit
};

// The reason for the log; "" for Verdict::answer.
[[nodiscard]] std::string_view to_string(ReflectionGuard::Verdict verdict) noexcept;

}  // namespace reactor
