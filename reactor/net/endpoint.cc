// SPDX-License-Identifier: MIT
#include "reactor/net/endpoint.h"

#include "reactor/base/error.h"

namespace reactor {
namespace {

constexpr std::string_view kUdp = "udp:";
constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kUnixDatagram = "unixgram:";

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  Kind kind = Kind::datagram;
  std::string address(text);
  if (text.starts_with(kUnixDatagram)) {
    address.replace(0, kUnixDatagram.size(), kUnix);
  } else if (text.starts_with(kUdp)) {
    address.erase(0, kUdp.size());
    if (address.starts_with(kUnix)) return Errc::bad_address;
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
  if (address.is_unix()) return text.replace(0, kUnix.size(), kUnixDatagram);
  return text.insert(0, kUdp);
}

}  // namespace reactor
