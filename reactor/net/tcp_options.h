// SPDX-License-Identifier: MIT
// TcpOptions holds options of a TCP socket (tcp(7)). An empty option does not change the socket.
// Accepted sockets inherit all options of their listening socket except quick_ack and fast_open.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "reactor/base/result.h"

namespace reactor {

// KeepAlive makes the kernel probe an idle connection. If the peer has vanished, the connection
// fails after idle + interval * count, with std::errc::timed_out.
struct KeepAlive {
  bool on = true;
  std::chrono::seconds idle{60};      // before the first probe, 1..32767
  std::chrono::seconds interval{10};  // between two probes, 1..32767
  int count = 6;                      // probes without an answer, 1..127
};

struct TcpOptions {
  std::optional<bool> no_delay;         // TCP_NODELAY; on by default in this library
  std::optional<KeepAlive> keep_alive;  // SO_KEEPALIVE, TCP_KEEPIDLE, _KEEPINTVL, _KEEPCNT
  // The longest time that sent bytes may stay unacknowledged, up to 24 days; 0: the system's time
  // (TCP_USER_TIMEOUT).
  std::optional<std::chrono::milliseconds> user_timeout;
  // Sends acknowledgements at once. The kernel may later delay them again (TCP_QUICKACK).
  std::optional<bool> quick_ack;
  // The congestion control: "cubic", "reno", or another one that the kernel has and allows
  // (TCP_CONGESTION). The caller owns the text, which must outlive this object.
  std::string_view congestion_control;
  // Sends the first written bytes with the SYN, if the server gave a cookie earlier
  // (TCP_FASTOPEN_CONNECT). Set it before connect(), which then succeeds at once. The first write
  // reports the errors of connect().
  bool fast_open = false;

  // Sets the options on `fd`, and stops at the first one that fails. Errors: Errc::not_supported if
  // the system or the socket has no such option; no_such_file_or_directory for an unknown
  // congestion control; those of setsockopt(2).
  Result<> apply(int fd) const;
};

}  // namespace reactor
