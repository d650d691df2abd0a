// SPDX-License-Identifier: MIT
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace reactor {

// A socket address as a value: IPv4, IPv6, a unix path, or a Linux abstract name. Copies freely,
// compares by content. Resolves no host names: that would block.
class Address {
 public:
  // What stands in front of a unix path, or of `@NAME`, in text.
  static constexpr std::string_view kUnixPrefix = "unix:";

  // None; family() is AF_UNSPEC.
  Address() noexcept;

  // The forms that every program of ours takes and prints:
  //   127.0.0.1:80  [::1]:80  [fe80::1%eth0]:80  localhost:80  :80  unix:PATH  unix:@NAME
  // `:PORT` is any(): the v6 wildcard with v4 mapped, or 0.0.0.0 where there is no v6. A name that
  // is_localhost() is 127.0.0.1. Port 0..65535 in digits.
  // Errors: Errc::bad_address, also for a NUL byte anywhere: an abstract name with one is for
  // unix_abstract(). Errc::address_too_long for a unix path or name over 107 bytes.
  [[nodiscard]] static Result<Address> parse(std::string_view text);

  [[nodiscard]] static Address loopback(std::uint16_t port) noexcept;     // 127.0.0.1
  [[nodiscard]] static Address v6_loopback(std::uint16_t port) noexcept;  // [::1]
  [[nodiscard]] static Address any(std::uint16_t port);                   // as `:PORT`
  // Errors: Errc::address_too_long, Errc::bad_address where it is empty or holds a NUL octet.
  [[nodiscard]] static Result<Address> unix_path(std::string_view path);
  // `name` without the leading NUL; may hold any octets. Linux only (unix(7)).
  [[nodiscard]] static Result<Address> unix_abstract(std::string_view name);

  // From and for the system's calls. `length` is what the kernel gave; a unix socket without a name
  // has only its family. Longer than size() of storage: cut.
  [[nodiscard]] static Address from(const sockaddr* address, socklen_t length) noexcept;
  [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.generic; }
  [[nodiscard]] socklen_t size() const noexcept { return length_; }

  [[nodiscard]] int family() const noexcept { return storage_.generic.sa_family; }
  [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
  // 0 where there is none.
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] Address with_port(std::uint16_t port) const noexcept;
  // The path of a unix socket in the file system; empty for all others.
  [[nodiscard]] std::string_view path() const noexcept;

  // As parse() takes it: `127.0.0.1:80`, `[::1]:80`, `unix:PATH`, `unix:@NAME`; a v4 address that
  // is mapped into v6 prints as v4. "unknown" for none, "unix:" for an unnamed one. An abstract
  // name prints its bytes as they are.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Address& a, const Address& b) noexcept;

 private:
  union Storage {
    sockaddr generic;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };
  Storage storage_;
  socklen_t length_ = 0;
};

// Whether `host` is a name of this host's loopback interface, which no name server may be asked
// for: `localhost` and all names below it, with or without a dot at the end, in upper or lower case
// (RFC 6761 section 6.3, RFC 4343).
[[nodiscard]] bool is_localhost(std::string_view host) noexcept;

}  // namespace reactor
