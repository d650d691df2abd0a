// SPDX-License-Identifier: MIT
#include "reactor/net/endpoint.h"

#include "reactor/base/error.h"

namespace reactor {
namespace {

constexpr std::string_view kUdpPrefix = "udp:";
constexpr std::string_view kUnixgramPrefix = "unixgram:";

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  Kind kind = Kind::datagram;
  std::string address(text);
  if (text.starts_with(kUnixgramPrefix)) {
    address.replace(0, kUnixgramPrefix.size(), Address::kUnixPrefix);
  } else if (text.starts_with(kUdpPrefix)) {
    address.erase(0, kUdpPrefix.size());
    if (address.starts_with(Address::kUnixPrefix)) return Errc::bad_address;
  } else {
    kind = Kind::stream;
  }
  const Result<Address> parsed = Address::parse(address);
  if (!parsed) return parsed.error();
  return Endpoint{*parsed, kind};
}

std::string Endpoint::to_string() const {
  std::string text = address.to_string();
  if (kind == Kind::stream) return text;
  if (address.is_unix()) return text.replace(0, Address::kUnixPrefix.size(), kUnixgramPrefix);
  return text.insert(0, kUdpPrefix);
}

}  // namespace reactor
