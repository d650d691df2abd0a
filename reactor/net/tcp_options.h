// SPDX-License-Identifier: MIT
// TcpOptions: what can be set on a TCP socket (tcp(7)). Each by itself; what is left empty stays as
// it is. Set on a listening socket, accepted ones inherit all but quick_ack and fast_open.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "reactor/base/result.h"

namespace reactor {

// Probes of a connection on which nothing moves, so that a peer that is gone without a word is
// noticed after idle + interval * count: std::errc::timed_out.
struct KeepAlive {
  bool on = true;
  std::chrono::seconds idle{60};      // before the first probe, 1..32767
  std::chrono::seconds interval{10};  // between two, 1..32767
  int count = 6;                      // probes without an answer, 1..127
};

struct TcpOptions {
  std::optional<bool> no_delay;         // TCP_NODELAY; every Socket of this library has it on
  std::optional<KeepAlive> keep_alive;  // SO_KEEPALIVE, TCP_KEEPIDLE, _KEEPINTVL, _KEEPCNT
  // How long what was sent may stay without an acknowledgement, up to 24 days; 0: the system's
  // (TCP_USER_TIMEOUT).
  std::optional<std::chrono::milliseconds> user_timeout;
  // Acknowledges at once for now; the kernel may go back to delaying by itself (TCP_QUICKACK).
  std::optional<bool> quick_ack;
  // "cubic", "reno", ...: of those that the kernel has and allows (TCP_CONGESTION). The text is the
  // caller's, and lives as long as this.
  std::string_view congestion_control;
  // Before connect(): the first octets written leave with the SYN, where the server has given a
  // cookie before (TCP_FASTOPEN_CONNECT). connect() is done at once then, and its errors are those
  // of the first write.
  bool fast_open = false;

  // Sets them on `fd`, the first that fails ends it. Errors: Errc::not_supported where the system
  // or the socket has no such option, no_such_file_or_directory for an unknown congestion control,
  // those of setsockopt(2).
  Result<> apply(int fd) const;
};

}  // namespace reactor
