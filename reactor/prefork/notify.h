// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// Tells the service manager the state of this process. Each message is one datagram to the socket
// that NOTIFY_SOCKET names (sd_notify(3), systemd.service(5) Type=notify). Without NOTIFY_SOCKET
// the calls do nothing. A message that can't be sent within 100 ms is dropped, which is logged; the
// service goes on.
class Notifier {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. They stay set, for a program that is
  // executed later.
  Notifier();

  // Whether there is a socket to send to.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  // Says that all workers accept, also after a reload. `status`: see status(); empty for none.
  void ready(std::string_view status = {}) const;
  // Says that a reload begins; ready() ends it. Includes the time, as Type=notify-reload requires.
  void reloading() const;
  // Says that the end begins. It may take `limit`, even if TimeoutStopSec= is shorter; 0 leaves
  // TimeoutStopSec= as it is.
  void stopping(std::string_view status = {}, Duration limit = {}) const;
  // Sets the line that `systemctl status` shows. A line feed in it is escaped.
  void status(std::string_view text) const;
  // Says that all is well. Call it at least once per watchdog_interval().
  void watchdog() const;
  // Says that process `pid` is the master from now on, and ready.
  void main_pid(pid_t pid) const;

  // The manager ends this service if watchdog() is not called for this time; 0: it does not check.
  [[nodiscard]] Duration watchdog_interval() const noexcept { return watchdog_interval_; }

 private:
  void send(std::string_view message) const;

  UniqueFd fd_;
  Address manager_;
  Duration watchdog_interval_{};
};

}  // namespace reactor::prefork
