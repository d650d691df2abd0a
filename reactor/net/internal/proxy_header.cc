// SPDX-License-Identifier: MIT
// The parser looks at one byte at a time, and keeps the first kMostKept bytes:
//
//   signature --"PROXY "--> take_v1(), until CR LF ----------> parse_line() ------> done
//       '--version 2------> take_v2(), until the preamble's end: check_preamble()
//                           take_v2(), until the length's end -> read_addresses() -> done
//
// Each step refuses a wrong byte as soon as it can tell.
#include "reactor/net/internal/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace reactor {
namespace {

using State = ProxyHeaderParser::State;

constexpr std::string_view kSignatureV1 = "PROXY ";
constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);

// In version 2, the signature is followed by one byte with version and command, one byte with
// family and protocol, and two bytes with the length of the rest.
constexpr std::size_t kCommandAt = 12;
constexpr std::size_t kFamilyAt = 13;
constexpr std::size_t kLengthAt = 14;
constexpr unsigned kLocal = 0x20;
constexpr unsigned kProxy = 0x21;
enum Family : unsigned { kUnspecified, kInet, kInet6, kUnix };
constexpr unsigned kStream = 1;
constexpr unsigned kDatagram = 2;

constexpr std::size_t kPathField = 108;  // bytes of a unix address, on all systems

// The size of both addresses with their ports, by Family.
constexpr std::array<std::size_t, 4> kAddressBytes = {0, 12, 36, 2 * kPathField};

unsigned byte_of(char c) noexcept { return static_cast<unsigned char>(c); }

template <class SystemAddress>
Address address_of(const SystemAddress& address) noexcept {
  return Address::from(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

Address v4_address(const void* host, std::uint16_t network_order_port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, host, sizeof(address.sin_addr));
  address.sin_port = network_order_port;
  return address_of(address);
}

Address v6_address(const void* host, std::uint16_t network_order_port) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, host, sizeof(address.sin6_addr));
  address.sin6_port = network_order_port;
  return address_of(address);
}

// Makes an address from a path field, which is padded with zeros. A name that begins with a zero
// byte is a Linux abstract name. The header does not say how long such a name is, so zeros at its
// end do not count as a part of it.
Address unix_address(const char* room) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string_view name(room, std::min(kPathField, sizeof(address.sun_path)));
  name = name.front() == '\0' ? name.substr(0, name.find_last_not_of('\0') + 1)
                              : name.substr(0, name.find('\0'));
  name.copy(address.sun_path, name.size());
  const bool terminated = !name.empty() && name.front() != '\0' && name.size() < kPathField;
  const std::size_t length = offsetof(sockaddr_un, sun_path) + name.size() + (terminated ? 1 : 0);
  return Address::from(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
}

// Removes the next word and the space after it from `line`, and returns the word.
std::string_view next_word(std::string_view& line) noexcept {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  return word;
}

// Parses a port, which the protocol wants decimal and without leading zeros.
bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool padded = text.size() > 1 && text.front() == '0';
  return error == std::errc{} && end == text.data() + text.size() && !padded;
}

bool parse_address(bool v6, std::string_view host, std::string_view port, Address& out) noexcept {
  std::array<char, INET6_ADDRSTRLEN> text{};
  std::array<std::byte, sizeof(in6_addr)> bytes{};
  std::uint16_t number = 0;
  if (host.size() >= text.size() || !parse_port(port, number)) return false;
  host.copy(text.data(), host.size());
  if (std::strlen(text.data()) != host.size()) return false;
  if (::inet_pton(v6 ? AF_INET6 : AF_INET, text.data(), bytes.data()) != 1) return false;
  out = v6 ? v6_address(bytes.data(), htons(number)) : v4_address(bytes.data(), htons(number));
  return true;
}

}  // namespace

ProxyProtocol ProxyHeaderParser::version_of(std::span<const std::byte> bytes) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kSignatureV1)) return ProxyProtocol::v1;
  return text.starts_with(kSignatureV2) ? ProxyProtocol::v2 : ProxyProtocol::off;
}

bool ProxyHeaderParser::signed_well() const noexcept {
  return taken_ > (protocol_ == ProxyProtocol::v1 ? kSignatureV1 : kSignatureV2).size();
}

ProxyHeaderParser::Step ProxyHeaderParser::next(std::span<const std::byte> bytes) noexcept {
  std::size_t consumed = 0;
  while (state_ == State::more && consumed < bytes.size()) {
    state_ = take(static_cast<char>(bytes[consumed++]));
  }
  return {state_, consumed};
}

State ProxyHeaderParser::take(char byte) noexcept {
  if (taken_ < kept_.size()) kept_[taken_] = byte;
  ++taken_;
  if (protocol_ == ProxyProtocol::either) {
    protocol_ = byte == kSignatureV1.front() ? ProxyProtocol::v1 : ProxyProtocol::v2;
  }
  const std::string_view signature = protocol_ == ProxyProtocol::v1 ? kSignatureV1 : kSignatureV2;
  if (taken_ <= signature.size()) {
    return byte == signature[taken_ - 1] ? State::more : State::bad;
  }
  return protocol_ == ProxyProtocol::v1 ? take_v1() : take_v2();
}

// ---- Version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" ----

State ProxyHeaderParser::take_v1() noexcept {
  const char byte = kept_[taken_ - 1];
  const bool after_return = kept_[taken_ - 2] == '\r';
  if (after_return != (byte == '\n')) return State::bad;
  if (after_return) return parse_line();
  return taken_ < kMostV1 ? State::more : State::bad;
}

State ProxyHeaderParser::parse_line() noexcept {
  std::string_view line(kept_.data(), taken_ - 2);
  line.remove_prefix(kSignatureV1.size());
  const std::string_view family = next_word(line);
  if (family == "UNKNOWN") return State::done;  // the rest of the line is ignored
  if (family != "TCP4" && family != "TCP6") return State::bad;
  const std::string_view source = next_word(line);
  const std::string_view destination = next_word(line);
  const std::string_view source_port = next_word(line);
  const bool v6 = family == "TCP6";
  ProxiedAddresses addresses;
  if (!parse_address(v6, source, source_port, addresses.source) ||
      !parse_address(v6, destination, line, addresses.destination)) {
    return State::bad;
  }
  addresses_ = addresses;
  return State::done;
}

// ---- Version 2 ----

std::size_t ProxyHeaderParser::length_v2() const noexcept {
  return kPreamble + byte_of(kept_[kLengthAt]) * 256 + byte_of(kept_[kLengthAt + 1]);
}

State ProxyHeaderParser::take_v2() noexcept {
  if (taken_ == kPreamble && check_preamble() == State::bad) return State::bad;
  if (taken_ < kPreamble || taken_ < length_v2()) return State::more;
  read_addresses();
  return State::done;
}

State ProxyHeaderParser::check_preamble() noexcept {
  const unsigned command = byte_of(kept_[kCommandAt]);
  const unsigned family = byte_of(kept_[kFamilyAt]) >> 4;
  const unsigned protocol = byte_of(kept_[kFamilyAt]) & 15;
  if (length_v2() > kMostV2) return State::bad;
  if (command == kLocal) return State::more;  // the rest has to be ignored
  if (command != kProxy || family > kUnix || protocol > kDatagram) return State::bad;
  return length_v2() >= kPreamble + kAddressBytes[family] ? State::more : State::bad;
}

void ProxyHeaderParser::read_addresses() noexcept {
  const unsigned family = byte_of(kept_[kFamilyAt]) >> 4;
  const unsigned protocol = byte_of(kept_[kFamilyAt]) & 15;
  const bool known = byte_of(kept_[kCommandAt]) == kProxy && protocol != 0;
  const char* const at = kept_.data() + kPreamble;
  if (!known || family == kUnspecified) return;
  if (family == kUnix) {
    addresses_ = {unix_address(at), unix_address(at + kPathField)};
    return;
  }
  const std::size_t host = family == kInet ? sizeof(in_addr) : sizeof(in6_addr);
  std::array<std::uint16_t, 2> ports{};
  std::memcpy(ports.data(), at + 2 * host, sizeof(ports));
  const auto make = family == kInet ? &v4_address : &v6_address;
  addresses_ = {make(at, ports[0]), make(at + host, ports[1])};
}

// ---- Writing ----

namespace {

void append(std::vector<std::byte>& out, const void* bytes, std::size_t count) {
  const auto* const begin = static_cast<const std::byte*>(bytes);
  out.insert(out.end(), begin, begin + count);
}

void append_number(std::vector<std::byte>& out, std::uint16_t port) {
  const std::array<std::uint8_t, 2> bytes = {static_cast<std::uint8_t>(port >> 8),
                                             static_cast<std::uint8_t>(port & 255)};
  append(out, bytes.data(), bytes.size());
}

void append_host(std::vector<std::byte>& out, const Address& address) {
  if (address.family() == AF_INET) {
    append(out, &reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr, sizeof(in_addr));
  } else if (address.family() == AF_INET6) {
    append(out, &reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr,
           sizeof(in6_addr));
  } else {
    constexpr std::size_t kPathAt = offsetof(sockaddr_un, sun_path);
    const std::size_t size = std::max<std::size_t>(address.size(), kPathAt) - kPathAt;
    append(out, reinterpret_cast<const sockaddr_un*>(address.data())->sun_path, size);
    out.resize(out.size() + kPathField - size);
  }
}

Family family_of(const Address& address) noexcept {
  if (address.family() == AF_INET) return kInet;
  if (address.family() == AF_INET6) return kInet6;
  return address.is_unix() ? kUnix : kUnspecified;
}

}  // namespace

std::vector<std::byte> proxy_header(const ProxiedAddresses* addresses) {
  Family family = kUnspecified;
  if (addresses != nullptr && addresses->source.family() == addresses->destination.family()) {
    family = family_of(addresses->source);
  }
  const bool known = family != kUnspecified;
  std::vector<std::byte> out;
  append(out, kSignatureV2.data(), kSignatureV2.size());
  out.push_back(static_cast<std::byte>(known ? kProxy : kLocal));
  out.push_back(static_cast<std::byte>(known ? family << 4 | kStream : 0U));
  append_number(out, static_cast<std::uint16_t>(kAddressBytes[family]));
  if (!known) return out;
  append_host(out, addresses->source);
  append_host(out, addresses->destination);
  if (family == kUnix) return out;
  append_number(out, addresses->source.port());
  append_number(out, addresses->destination.port());
  return out;
}

}  // namespace reactor
