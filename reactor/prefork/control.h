// SPDX-License-Identifier: MIT
// Control: what the master and a worker tell each other, over a socket whose end of file says that
// the other one is gone. Private to prefork.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

struct Message {
  enum class Kind : std::uint8_t {
    // From the worker.
    ready,  // it accepts
    renew,  // it wants a successor: it has served its time
    // From the master.
    retire,   // a successor has the slot: hand over, finish, end. `value`: the slot that goes on
    orphan,   // nobody serves `slot`: its siblings accept from its queue
    adopted,  // somebody serves `slot` again
    sibling,  // there is a slot more; the descriptor is its listener for address `value`, or an
              // end of its mailbox
  };
  static constexpr std::uint32_t kMailboxIn = 0xffffffff;
  static constexpr std::uint32_t kMailboxOut = 0xfffffffe;

  Kind kind = Kind::ready;
  std::uint8_t unused = 0;
  std::uint16_t slot = 0;
  std::uint32_t value = 0;
};

class Control {
 public:
  // What came: a message, with a descriptor perhaps; nothing now; or the end.
  struct Received {
    std::optional<Message> message;
    UniqueFd descriptor;
    bool ended = false;
  };

  Control() noexcept = default;
  explicit Control(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  // Both ends, non-blocking and closed on exec. Errors: those of socketpair(2), fcntl(2).
  [[nodiscard]] static Result<std::pair<Control, Control>> make_pair();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  void close() noexcept { fd_.reset(); }

  // False where the other one is gone, or has left megabytes unread. A descriptor is copied.
  bool send(const Message& message, int descriptor = -1) const noexcept;
  [[nodiscard]] Received receive() const noexcept;

 private:
  UniqueFd fd_;
};

}  // namespace reactor::prefork
