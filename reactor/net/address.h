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

// Address is a socket address as a value: IPv4, IPv6, a unix path, or a Linux abstract name. It is
// cheap to copy and compares by content. It resolves no host names, because that would block.
class Address {
 public:
  // The text in front of a unix path or `@NAME`.
  static constexpr std::string_view kUnixPrefix = "unix:";

  // Makes an empty address: family() is AF_UNSPEC.
  Address() noexcept;

  // Parses the forms that all our programs accept and print:
  //   127.0.0.1:80  [::1]:80  [fe80::1%eth0]:80  localhost:80  :80  unix:PATH  unix:@NAME
  // `:PORT` means any(): the v6 wildcard, which accepts v4 connections too, or 0.0.0.0 if the
  // system has no v6. A name for which is_localhost() is true means 127.0.0.1. The port is a
  // decimal number, 0..65535. Errors: Errc::bad_address, also for a NUL byte anywhere (use
  // unix_abstract() for a name that has one); Errc::address_too_long for a unix path or name over
  // 107 bytes.
  [[nodiscard]] static Result<Address> parse(std::string_view text);

  [[nodiscard]] static Address loopback(std::uint16_t port) noexcept;     // 127.0.0.1
  [[nodiscard]] static Address v6_loopback(std::uint16_t port) noexcept;  // [::1]
  [[nodiscard]] static Address any(std::uint16_t port);                   // `:PORT`
  // Errors: Errc::address_too_long; Errc::bad_address if the path is empty or has a NUL byte.
  [[nodiscard]] static Result<Address> unix_path(std::string_view path);
  // Makes an address of a Linux abstract name. `name` has no leading NUL byte, and may contain any
  // bytes. Errors: as unix_path(), but a NUL byte is allowed. Linux only (unix(7)).
  [[nodiscard]] static Result<Address> unix_abstract(std::string_view name);

  // These functions convert from and to the system's form. `length` is the one that the kernel
  // returned: for a unix socket without a name, it covers only the family. from() cuts off the
  // bytes beyond the largest known kind of address.
  [[nodiscard]] static Address from(const sockaddr* address, socklen_t length) noexcept;
  [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.generic; }
  [[nodiscard]] socklen_t size() const noexcept { return length_; }

  [[nodiscard]] int family() const noexcept { return storage_.generic.sa_family; }
  [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
  // Returns the port; 0 if the address has none.
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] Address with_port(std::uint16_t port) const noexcept;
  // Returns the path of a unix socket in the file system; empty for all other addresses.
  [[nodiscard]] std::string_view path() const noexcept;

  // Returns the form that parse() accepts: `127.0.0.1:80`, `[::1]:80`, `unix:PATH`, `unix:@NAME`. A
  // v4 address that is mapped into v6 prints as v4. An empty address is "unknown", an unnamed unix
  // one "unix:". An abstract name prints its bytes as they are.
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

// Returns whether `host` names this host's loopback interface: `localhost` and all names below it,
// with or without a dot at the end, in upper or lower case (RFC 6761 section 6.3, RFC 4343). No
// name server may be asked for such a name.
[[nodiscard]] bool is_localhost(std::string_view host) noexcept;

}  // namespace reactor
