// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// Tells the service manager the state of this process. Each message is one datagram to the socket
// that NOTIFY_SOCKET names (sd_notify(3), systemd.service(5) Type=notify). Without NOTIFY_SOCKET
// the calls do nothing. No call waits. If the manager's queue is full, the message waits here, and
// flush() sends it later, in order. Of each kind only the latest message waits, because it replaces
// the earlier one. A message that can't be sent for another reason, for example because the manager
// is gone, is dropped. The log has a line about each drop, and about the first of the messages that
// wait.
class Notifier {
 public:
  // After a full queue, wait this long before you call flush() or main_pid() again.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. The variables stay set, for a program that
  // is executed later.
  Notifier();

  // Whether there is a socket to send to.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  // Says that all workers accept connections, after the start or after a reload. `status`: see
  // status(); empty for none.
  void ready(std::string_view status = {});
  // Says that a reload begins; ready() ends it. Includes the time, as Type=notify-reload requires.
  void reloading();
  // Says that the service is stopping, and may take up to `limit` for that, even if TimeoutStopSec=
  // is shorter. A `limit` of 0 leaves TimeoutStopSec= as it is.
  void stopping(std::string_view status = {}, Duration limit = {});
  // Sets the line that `systemctl status` shows. A line feed in it is escaped.
  void status(std::string_view text);
  // Says that all is well. Call it at least once per watchdog_interval().
  void watchdog();
  // Says that process `pid` is the master from now on, and that it is ready. Returns false if the
  // manager's queue is full or earlier messages wait. In that case the message is not kept: call
  // this again.
  [[nodiscard]] bool main_pid(pid_t pid);

  // Sends messages that wait, as far as there is room.
  void flush();
  // Whether messages wait for flush().
  [[nodiscard]] bool waits() const noexcept { return !waiting_.empty(); }

  // The manager ends this service if it gets no watchdog() for this long. 0: it does not check.
  [[nodiscard]] Duration watchdog_interval() const noexcept { return watchdog_interval_; }

 private:
  void send(std::string message);
  [[nodiscard]] bool deliver(std::string_view message);

  UniqueFd fd_;
  Address manager_;
  std::vector<std::string> waiting_;  // at most one of each kind
  bool full_ = false;                 // the manager's queue was, at the last message
  Duration watchdog_interval_{};
};

}  // namespace reactor::prefork
