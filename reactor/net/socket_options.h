// SPDX-License-Identifier: MIT
// setsockopt(2) and getsockopt(2) with their types. Private to the library.
#pragma once

#include <sys/socket.h>

namespace reactor {

// Lets several sockets listen at one address and share what arrives: FreeBSD has an option of its
// own for that.
#if defined(SO_REUSEPORT_LB)
inline constexpr int kReusePort = SO_REUSEPORT_LB;
#else
inline constexpr int kReusePort = SO_REUSEPORT;
#endif

// False: errno says why.
template <class Value>
bool set_option(int fd, int level, int name, const Value& value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// 0 also where the socket has no such option.
[[nodiscard]] inline int option_of(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

}  // namespace reactor
