// SPDX-License-Identifier: MIT
// Knote is one registration with a kqueue of the model (see kqueue.cc). It makes the event that its
// filter reports for a ready descriptor or process.
#pragma once

#include <sys/event.h>

#include <cstdint>

#include "tests/support/kqueue/real_fd.h"

namespace reactor::kqueue_model {

enum class Kind : std::uint8_t { file, pipe, socket, process, other };

class Knote {
 public:
  // Registers `change`. Returns an errno value if the filter can't be attached to the descriptor or
  // process, else 0.
  int attach(const struct kevent& change);

  // Applies a later change of the same knote: its udata, and whether it is enabled.
  void touch(const struct kevent& change) noexcept;

  // The descriptor and the events to register with epoll(7).
  [[nodiscard]] int descriptor() const noexcept;
  [[nodiscard]] std::uint32_t epoll_events() const noexcept;

  // The kevent to report for these events of epoll.
  [[nodiscard]] struct kevent report(std::uint32_t epoll_events) const;

  [[nodiscard]] bool disabled() const noexcept { return disabled_; }
  void set_disabled(bool disabled) noexcept { disabled_ = disabled; }
  // Whether this is the second knote of its descriptor (see Queue).
  [[nodiscard]] bool second() const noexcept { return second_; }
  void set_second(bool second) noexcept { second_ = second; }
  [[nodiscard]] bool has(int flag) const noexcept { return (registered_.flags & flag) != 0; }
  [[nodiscard]] bool ends_when_reported() const noexcept {
    return has(EV_ONESHOT) || kind_ == Kind::process;
  }

 private:
  int attach_process(const struct kevent& change);
  int attach_descriptor(const struct kevent& change);
  void report_read(struct kevent& event, std::uint32_t epoll_events) const;
  void report_write(struct kevent& event, std::uint32_t epoll_events) const;
  void report_exit(struct kevent& event) const;

  struct kevent registered_ {};
  Kind kind_ = Kind::other;
  bool disabled_ = false;
  bool second_ = false;
  RealFd stand_in_;  // watched in place of a process or file, which epoll can't watch
};

}  // namespace reactor::kqueue_model
