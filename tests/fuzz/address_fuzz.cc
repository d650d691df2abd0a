// SPDX-License-Identifier: MIT
// Feeds any text to Address, Endpoint and Network. If parse() accepts it, the printed form must
// mean the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/net/address.h"
#include "reactor/net/endpoint.h"
#include "reactor/net/network.h"
#include "tests/fuzz/fuzz.h"

namespace {

using reactor::Address;
using reactor::Endpoint;
using reactor::fuzz::demand;

// No address as text contains a NUL byte. An IP address is plain text. A label below `localhost`
// may contain any other byte (RFC 2181 section 11).
void check_bytes(std::string_view text, const Address& address) {
  demand(text.find('\0') == std::string_view::npos, "no text with a NUL byte is an address");
  if (address.is_unix()) return;
  if (reactor::is_localhost(text.substr(0, text.rfind(':')))) return;
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    demand(value > 0x20 && value < 0x7f, "an IP address is plain text");
  }
}

// A v4-mapped v6 address prints as v4 and is then parsed as v4.
bool same(const Address& parsed, const Address& again) {
  const bool was_mapped = again.family() == AF_INET && parsed.family() == AF_INET6;
  return was_mapped || parsed == again;
}

void check_address(std::string_view text) {
  const reactor::Result<Address> parsed = Address::parse(text);
  if (!parsed) return;
  check_bytes(text, *parsed);
  demand(parsed->size() <= sizeof(sockaddr_storage), "the length fits a socket address");
  const std::string printed = parsed->to_string();
  const reactor::Result<Address> again = Address::parse(printed);
  demand(again && same(*parsed, *again), "what is printed means the same");
  demand(again->to_string() == printed, "and prints the same");
  demand(Address::from(parsed->data(), parsed->size()) == *parsed, "the kernel's form is the same");
}

void check_endpoint(std::string_view text) {
  const reactor::Result<Endpoint> parsed = Endpoint::parse(text);
  if (!parsed) return;
  const reactor::Result<Endpoint> again = Endpoint::parse(parsed->to_string());
  const bool alike = again && again->kind == parsed->kind && same(parsed->address, again->address);
  demand(alike, "a printed endpoint means the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_address(text);
  check_endpoint(text);
  static_cast<void>(reactor::Network::parse(text));
  return 0;
}
