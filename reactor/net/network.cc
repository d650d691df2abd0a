// SPDX-License-Identifier: MIT
#include "reactor/net/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/net/internal/v4_mapped.h"

namespace reactor {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;
constexpr unsigned kMappedBits = kV4MappedPrefix * 8;

// Returns whether the first `bits` of both are the same.
bool same_prefix(const V6Bytes& a, const V6Bytes& b, unsigned bits) noexcept {
  const auto whole = static_cast<std::ptrdiff_t>(bits / 8);
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const auto at = static_cast<std::size_t>(whole);
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[at] ^ b[at]) >> (8 - rest)) == 0;
}

bool is_v4(const V6Bytes& bytes, unsigned bits) noexcept {
  return bits >= kMappedBits && same_prefix(bytes, kV4Mapped, kMappedBits);
}

// Parses `host` into `bytes`. Returns 32 if it is an IPv4 address, 128 if it is an IPv6 address,
// and 0 otherwise.
unsigned parse_host(std::string_view host, V6Bytes& bytes) {
  const std::string text(host);
  bytes = kV4Mapped;
  if (!is_c_string(text)) return 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data() + kV4MappedPrefix) == 1) return kV4Bits;
  return ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1 ? kV6Bits : 0;
}

bool parse_length(std::string_view text, unsigned most, unsigned& bits) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  const bool padded = text.size() > 1 && text.front() == '0';
  return error == std::errc{} && end == text.data() + text.size() && bits <= most && !padded;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  V6Bytes bytes{};
  const std::size_t slash = text.find('/');
  const unsigned most = parse_host(text.substr(0, slash), bytes);
  unsigned bits = most;
  if (most == 0) return Errc::bad_address;
  if (slash != std::string_view::npos && !parse_length(text.substr(slash + 1), most, bits)) {
    return Errc::bad_address;
  }
  bits += kV6Bits - most;
  // All bits after the prefix must be 0.
  for (unsigned bit = bits; bit < kV6Bits; ++bit) {
    if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) return Errc::bad_address;
  }
  return Network(bytes, bits);
}

bool Network::contains(const Address& address) const noexcept {
  V6Bytes bytes = kV4Mapped;
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.data(), sizeof(v4));
    std::memcpy(bytes.data() + kV4MappedPrefix, &v4.sin_addr, sizeof(v4.sin_addr));
  } else if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address.data(), sizeof(v6));
    std::memcpy(bytes.data(), &v6.sin6_addr, sizeof(v6.sin6_addr));
  } else {
    return false;
  }
  // "::/0" is all of IPv6 and none of IPv4.
  return is_v4(bytes, kV6Bits) == is_v4(bytes_, bits_) && same_prefix(bytes, bytes_, bits_);
}

std::string Network::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = is_v4(bytes_, bits_);
  const std::uint8_t* const from = bytes_.data() + (v4 ? kV4MappedPrefix : 0);
  ::inet_ntop(v4 ? AF_INET : AF_INET6, from, text.data(), text.size());
  return std::string(text.data()) + "/" + std::to_string(v4 ? bits_ - kMappedBits : bits_);
}

}  // namespace reactor
