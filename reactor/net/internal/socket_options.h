// SPDX-License-Identifier: MIT
// set_option() and option_of() wrap setsockopt(2) and getsockopt(2) with types. Private to the
// library.
#pragma once

#include <sys/socket.h>

namespace reactor {

// kReusePort is the option by which several sockets listen at one address and share its
// connections. FreeBSD has an option of its own for this.
#if defined(SO_REUSEPORT_LB)
inline constexpr int kReusePort = SO_REUSEPORT_LB;
#else
inline constexpr int kReusePort = SO_REUSEPORT;
#endif

// Returns false on an error, and leaves its number in errno.
template <class Value>
bool set_option(int fd, int level, int name, const Value& value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// Returns the option's value; 0 also if the socket has no such option.
[[nodiscard]] inline int option_of(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

}  // namespace reactor
