// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// Tells the service manager how this process is: one datagram a message to the socket that
// NOTIFY_SOCKET names (sd_notify(3), systemd.service(5) Type=notify). Without one, every call does
// nothing. A message that can't be sent within 100 ms is lost, which is logged: the service goes
// on.
class Notifier {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and leaves them to a program that is
  // executed later.
  Notifier();

  // Whether anybody listens.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  // All workers accept, or accept again after a reload. `status`: see status(); empty for none.
  void ready(std::string_view status = {}) const;
  // A reload begins; ready() ends it. With the time, as Type=notify-reload wants.
  void reloading() const;
  // The end begins, and may take `limit`, whatever TimeoutStopSec= says; 0: no word of that.
  void stopping(std::string_view status = {}, Duration limit = {}) const;
  // What `systemctl status` shows: one line; a line feed is escaped.
  void status(std::string_view text) const;
  // All is well; at least once per watchdog_interval().
  void watchdog() const;
  // Another process is the master from now on, and ready.
  void main_pid(pid_t pid) const;

  // The time without watchdog() after which the manager ends this service; 0: it does not look.
  [[nodiscard]] Duration watchdog_interval() const noexcept { return watchdog_interval_; }

 private:
  void send(std::string_view message) const;

  UniqueFd fd_;
  Address manager_;
  Duration watchdog_interval_{};
};

}  // namespace reactor::prefork
