// SPDX-License-Identifier: MIT
#include "reactor/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/base/unique_fd.h"

namespace reactor {
namespace {

constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);
constexpr std::size_t kPathRoom = sizeof(sockaddr_un{}.sun_path);

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return Errc::bad_address;
  return port;
}

// Returns the index of the interface with this name or number; 0 if there is none. A name with a
// colon is refused, because Linux ignores the part after the colon, which once named an alias
// (netdevice(7)).
unsigned interface_index(const std::string& zone) {
  if (zone.find(':') != std::string::npos) return 0;
  if (const unsigned named = ::if_nametoindex(zone.c_str()); named != 0) return named;
  unsigned number = 0;
  const char* const end = zone.data() + zone.size();
  const auto [stop, error] = std::from_chars(zone.data(), end, number);
  return error == std::errc{} && stop == end ? number : 0;
}

// Parses "fe80::1%eth0" or "fe80::1%2": the zone is an interface (RFC 4007 section 11).
bool parse_v6(std::string_view text, sockaddr_in6& out) {
  const std::size_t percent = text.find('%');
  const std::string host(text.substr(0, percent));
  if (::inet_pton(AF_INET6, host.c_str(), &out.sin6_addr) != 1) return false;
  if (percent == std::string_view::npos) return true;
  out.sin6_scope_id = interface_index(std::string(text.substr(percent + 1)));
  return out.sin6_scope_id != 0;
}

bool v6_works() {
  const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM, 0));
  if (!probe) return false;
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  return ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0;
}

std::string with_port(const std::string& host, std::uint16_t port) {
  return host + ":" + std::to_string(ntohs(port));
}

std::string format_v6(const sockaddr_in6& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    ::inet_ntop(AF_INET, address.sin6_addr.s6_addr + 12, text.data(), text.size());
    return with_port(text.data(), address.sin6_port);
  }
  ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
  std::string host = text.data();
  if (address.sin6_scope_id != 0) {
    std::array<char, IF_NAMESIZE> name{};
    const bool named = ::if_indextoname(address.sin6_scope_id, name.data()) != nullptr;
    host += "%" + (named ? std::string(name.data()) : std::to_string(address.sin6_scope_id));
  }
  return with_port("[" + host + "]", address.sin6_port);
}

}  // namespace

Address::Address() noexcept {
  std::memset(&storage_, 0, sizeof(storage_));
  storage_.generic.sa_family = AF_UNSPEC;
}

Result<Address> Address::parse(std::string_view text) {
  if (!is_c_string(text)) return Errc::bad_address;
  if (text.starts_with(kUnixPrefix)) {
    text.remove_prefix(kUnixPrefix.size());
    if (!text.empty() && text.front() == '@') return unix_abstract(text.substr(1));
    return unix_path(text);
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Errc::bad_address;
  const Result<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) return port.error();
  std::string_view host = text.substr(0, colon);
  if (host.empty()) return any(*port);
  if (is_localhost(host)) return loopback(*port);
  Address address;
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return Errc::bad_address;
    address.storage_.v6.sin6_family = AF_INET6;
    address.length_ = sizeof(sockaddr_in6);
    host = host.substr(1, host.size() - 2);
    if (!parse_v6(host, address.storage_.v6)) return Errc::bad_address;
  } else {
    address.storage_.v4.sin_family = AF_INET;
    address.length_ = sizeof(sockaddr_in);
    const std::string name(host);
    if (::inet_pton(AF_INET, name.c_str(), &address.storage_.v4.sin_addr) != 1) {
      return Errc::bad_address;
    }
  }
  return address.with_port(*port);
}

Address Address::loopback(std::uint16_t port) noexcept {
  Address address;
  address.storage_.v4.sin_family = AF_INET;
  address.storage_.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.length_ = sizeof(sockaddr_in);
  return address.with_port(port);
}

Address Address::v6_loopback(std::uint16_t port) noexcept {
  Address address;
  address.storage_.v6.sin6_family = AF_INET6;
  address.storage_.v6.sin6_addr = in6addr_loopback;
  address.length_ = sizeof(sockaddr_in6);
  return address.with_port(port);
}

Address Address::any(std::uint16_t port) {
  Address address;
  if (v6_works()) {
    address.storage_.v6.sin6_family = AF_INET6;
    address.length_ = sizeof(sockaddr_in6);
  } else {
    address.storage_.v4.sin_family = AF_INET;
    address.length_ = sizeof(sockaddr_in);
  }
  return address.with_port(port);
}

Result<Address> Address::unix_path(std::string_view path) {
  if (path.empty() || !is_c_string(path)) return Errc::bad_address;
  if (path.size() >= kPathRoom) return Errc::address_too_long;
  Address address;
  address.storage_.local.sun_family = AF_UNIX;
  path.copy(address.storage_.local.sun_path, path.size());
  address.length_ = static_cast<socklen_t>(kPathOffset + path.size() + 1);
  return address;
}

Result<Address> Address::unix_abstract(std::string_view name) {
  if (name.empty()) return Errc::bad_address;
  if (name.size() >= kPathRoom) return Errc::address_too_long;
  Address address;
  address.storage_.local.sun_family = AF_UNIX;
  name.copy(address.storage_.local.sun_path + 1, name.size());
  // The length delimits the name, which has no NUL byte at its end (unix(7)).
  address.length_ = static_cast<socklen_t>(kPathOffset + 1 + name.size());
  return address;
}

Address Address::from(const sockaddr* address, socklen_t length) noexcept {
  Address result;
  result.length_ = std::min(length, static_cast<socklen_t>(sizeof(result.storage_)));
  if (result.length_ >= sizeof(sa_family_t)) std::memcpy(&result.storage_, address, result.length_);
  return result;
}

std::uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
  if (family() == AF_INET6) return ntohs(storage_.v6.sin6_port);
  return 0;
}

Address Address::with_port(std::uint16_t port) const noexcept {
  Address copy = *this;
  if (family() == AF_INET) copy.storage_.v4.sin_port = htons(port);
  if (family() == AF_INET6) copy.storage_.v6.sin6_port = htons(port);
  return copy;
}

std::string_view Address::path() const noexcept {
  if (!is_unix() || length_ <= kPathOffset || storage_.local.sun_path[0] == '\0') return {};
  const std::string_view room(storage_.local.sun_path, length_ - kPathOffset);
  return room.substr(0, room.find('\0'));
}

std::string Address::to_string() const {
  if (family() == AF_INET) {
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &storage_.v4.sin_addr, text.data(), text.size());
    return reactor::with_port(text.data(), storage_.v4.sin_port);
  }
  if (family() == AF_INET6) return format_v6(storage_.v6);
  if (!is_unix()) return "unknown";
  if (length_ <= kPathOffset + 1) return std::string(kUnixPrefix);
  if (storage_.local.sun_path[0] != '\0') return std::string(kUnixPrefix).append(path());
  return "unix:@" + std::string(storage_.local.sun_path + 1, length_ - kPathOffset - 1);
}

bool is_localhost(std::string_view host) noexcept {
  constexpr std::string_view kName = "localhost";
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() < kName.size()) return false;
  const std::size_t start = host.size() - kName.size();
  const auto is_same = [](char lower, char c) {
    return lower == (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  };
  if (!std::equal(kName.begin(), kName.end(), host.begin() + start, is_same)) return false;
  return start == 0 || (start > 1 && host[start - 1] == '.' && host[start - 2] != '.');
}

bool operator==(const Address& a, const Address& b) noexcept {
  if (a.family() != b.family()) return false;
  if (a.family() == AF_INET) {
    return a.port() == b.port() && a.storage_.v4.sin_addr.s_addr == b.storage_.v4.sin_addr.s_addr;
  }
  if (a.family() == AF_INET6) {
    const sockaddr_in6& left = a.storage_.v6;
    const sockaddr_in6& right = b.storage_.v6;
    return left.sin6_port == right.sin6_port && left.sin6_scope_id == right.sin6_scope_id &&
           std::memcmp(&left.sin6_addr, &right.sin6_addr, sizeof(left.sin6_addr)) == 0;
  }
  if (!a.is_unix()) return true;
  if (!a.path().empty() || !b.path().empty()) return a.path() == b.path();
  return a.length_ == b.length_ &&
         std::memcmp(&a.storage_.local, &b.storage_.local, a.length_) == 0;
}

}  // namespace reactor
