// SPDX-License-Identifier: MIT
// These functions make PROXY headers of version 2 for tests.
#pragma once

#include <string>
#include <string_view>

namespace reactor {

inline const std::string kProxySignature("\r\n\r\n\0\r\nQUIT\n", 12);

// Makes a header with `rest` behind its length field. The field holds the size of `rest`, or
// `length` if that is 0 or more.
[[nodiscard]] inline std::string proxy_v2(int command, int family, std::string_view rest,
                                          int length = -1) {
  const auto bytes = static_cast<unsigned>(length < 0 ? static_cast<int>(rest.size()) : length);
  std::string header = kProxySignature;
  for (const unsigned byte : {static_cast<unsigned>(command), static_cast<unsigned>(family),
                              bytes >> 8 & 255U, bytes & 255U}) {
    header += static_cast<char>(byte);
  }
  return header.append(rest);
}

// The address fields of two connections: 192.0.2.1:56324 -> 192.0.2.2:443, and 2001:db8::1 ->
// 2001:db8::2 with the same ports.
inline const std::string kProxyPorts("\xdc\x04\x01\xbb", 4);
inline const std::string kProxyV4 =
    std::string("\xc0\x00\x02\x01\xc0\x00\x02\x02", 8) + kProxyPorts;
inline const std::string kProxyV6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16) +
                                    std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16) +
                                    kProxyPorts;

// Returns the address field for a unix socket: `path`, padded to 108 bytes.
[[nodiscard]] inline std::string proxy_path(std::string_view path) {
  std::string room(path);
  room.resize(108);
  return room;
}

}  // namespace reactor
