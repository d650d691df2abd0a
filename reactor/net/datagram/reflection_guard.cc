// SPDX-License-Identifier: MIT
#include "reactor/net/datagram/reflection_guard.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/internal/v4_mapped.h"

namespace reactor {
namespace {

constexpr unsigned kFirstHighPort = 1024;
constexpr unsigned kCellBits = 12;
constexpr Duration kBurst = std::chrono::seconds(1);

// Returns the address as IPv6, with IPv4 mapped into it. Returns zeros for the wildcard of either
// family.
V6Bytes bytes_of(const Address& address) noexcept {
  V6Bytes bytes{};
  if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address.data(), sizeof(v6));
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  } else if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.data(), sizeof(v4));
    if (v4.sin_addr.s_addr == htonl(INADDR_ANY)) return bytes;
    bytes = kV4Mapped;
    std::memcpy(bytes.data() + kV4MappedPrefix, &v4.sin_addr, sizeof(v4.sin_addr));
  }
  return bytes;
}

// Returns the part of an address that counts as one source: all of an IPv4 address, the first half
// of an IPv6 address.
std::uint64_t source_of(const V6Bytes& bytes) noexcept {
  const bool is_v4 =
      std::equal(kV4Mapped.begin(), kV4Mapped.begin() + kV4MappedPrefix, bytes.begin());
  std::uint64_t half = 0;
  std::memcpy(&half, bytes.data() + (is_v4 ? 8 : 0), sizeof(half));
  return half;
}

}  // namespace

ReflectionGuard::ReflectionGuard(const ReflectionLimits& limits, std::vector<Address> own)
    : limits_(limits), own_(std::move(own)) {
  std::random_device random;  // so that an attacker can't choose sources that share a cell
  seed_ = (std::uint64_t{random()} << 32U) | random();
  if (limits_.rate > 0) paid_until_.resize(std::size_t{1} << kCellBits);
}

ReflectionGuard::Verdict ReflectionGuard::judge(const Message& message, TimePoint now) noexcept {
  return judge(message.from(), message.unicast(), now);
}

ReflectionGuard::Verdict ReflectionGuard::judge(const Address& from, bool unicast,
                                                TimePoint now) noexcept {
  if (from.family() != AF_INET && from.family() != AF_INET6) return Verdict::answer;
  if (!unicast) return Verdict::not_unicast;
  if (is_own(from)) return Verdict::own_address;
  if (!limits_.low_ports && from.port() < kFirstHighPort) return Verdict::low_port;
  return is_too_fast(from, now) ? Verdict::too_fast : Verdict::answer;
}

bool ReflectionGuard::is_own(const Address& from) const noexcept {
  return std::any_of(own_.begin(), own_.end(), [&](const Address& own) {
    if (own.port() != from.port()) return false;
    const V6Bytes bytes = bytes_of(own);
    return bytes == V6Bytes{} || bytes == bytes_of(from);
  });
}

// Each answer moves the time in the source's cell forward by 1 s / rate. If that time is already
// kBurst ahead of `now`, the source is too fast.
bool ReflectionGuard::is_too_fast(const Address& from, TimePoint now) noexcept {
  if (limits_.rate == 0) return false;
  const std::uint64_t hash = (source_of(bytes_of(from)) ^ seed_) * 0x9e3779b97f4a7c15ULL;
  TimePoint& paid_until = paid_until_[hash >> (64 - kCellBits)];
  const TimePoint begin = std::max(paid_until, now);
  if (begin - now >= kBurst) return true;
  paid_until = begin + kBurst / limits_.rate;
  return false;
}

std::string_view to_string(ReflectionGuard::Verdict verdict) noexcept {
  switch (verdict) {
    case ReflectionGuard::Verdict::answer:
      return "";
    case ReflectionGuard::Verdict::own_address:
      return "it comes from an address of this server";
    case ReflectionGuard::Verdict::low_port:
      return "its source port is below 1024";
    case ReflectionGuard::Verdict::not_unicast:
      return "it was sent to a broadcast address or a group";
    case ReflectionGuard::Verdict::too_fast:
      return "its source sends more than the limit allows";
  }
  return "";
}

}  // namespace reactor
