// SPDX-License-Identifier: MIT
// Control: what the master and a worker tell each other. Private to prefork.
//
//   master -- socket: Message, some with a descriptor --> worker
//   master <-- pipe: Notice, one byte each ------------- worker
//
// A worker may be running a stranger's code, so its way to the master is as narrow as possible. A
// pipe cannot carry descriptors: closing a descriptor that a stranger made can block (SO_LINGER).
// The other direction of the socket is shut down for the same reason. A worker says each Notice at
// most once, in their order, and everything else breaks the rules.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// From the worker. The numbers are the order.
enum class Notice : std::uint8_t {
  ready = 1,  // it accepts
  renew = 2,  // it wants a successor: it has served its time
};

// From the master.
struct Message {
  enum class Kind : std::uint8_t {
    retire,   // a successor has the slot: hand over, finish, end. `value`: the slot that goes on
    orphan,   // nobody serves `slot`: its siblings accept from its queue
    adopted,  // somebody serves `slot` again
    sibling,  // there is a slot more; the descriptor is its listener for address `value`, or an
              // end of its mailbox
    serve,    // a worker that was started with Membership::held begins to accept
  };
  static constexpr std::uint32_t kMailboxIn = 0xffffffff;
  static constexpr std::uint32_t kMailboxOut = 0xfffffffe;

  Kind kind = Kind::retire;
  std::uint8_t unused = 0;
  std::uint16_t slot = 0;
  std::uint32_t value = 0;
};

// The master's end.
class Control {
 public:
  // What one look at the worker's notices found.
  enum class Heard : std::uint8_t {
    nothing,
    ready,
    renew,
    ended,        // no process has the other end any more
    broken_rules  // a byte that is no Notice, or a Notice again or out of order
  };

  Control() noexcept = default;
  Control(UniqueFd messages, UniqueFd notices) noexcept
      : messages_(std::move(messages)), notices_(std::move(notices)) {}

  // Readable when hear() has something to say.
  [[nodiscard]] int fd() const noexcept { return notices_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(notices_); }
  void close() noexcept;

  // False if the worker is gone, or has left many messages unread. A descriptor is copied.
  bool send(const Message& message, int descriptor = -1) const noexcept;
  // Reads at most one byte, so that no worker can keep the master busy.
  [[nodiscard]] Heard hear() noexcept;

 private:
  UniqueFd messages_, notices_;
  std::uint8_t said_ = 0;  // the last Notice
};

// The worker's end.
class WorkerControl {
 public:
  // What came: a message, perhaps with a descriptor; nothing now; nothing for want of memory; or
  // the end.
  struct Received {
    std::optional<Message> message;
    UniqueFd descriptor;
    bool later = false;  // fd() stays readable: wait kRetryDelay
    bool ended = false;
  };
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(20);

  WorkerControl() noexcept = default;
  WorkerControl(UniqueFd messages, UniqueFd notices) noexcept
      : messages_(std::move(messages)), notices_(std::move(notices)) {}

  // Readable when receive() has something.
  [[nodiscard]] int fd() const noexcept { return messages_.get(); }
  [[nodiscard]] Received receive() const noexcept;
  [[nodiscard]] int notices_fd() const noexcept { return notices_.get(); }

  // False if the master is gone. Calls after the first one do nothing.
  bool say_ready() noexcept;
  // Asks for a successor, but not before say_ready(). Calls after the first one do nothing.
  void ask_for_successor() noexcept;
  // In a process that the worker forks: only the worker speaks to the master.
  void close_notices() noexcept { notices_.reset(); }

 private:
  bool say(Notice notice) const noexcept;

  UniqueFd messages_, notices_;
  bool ready_ = false;
  bool renewal_ = false;  // was asked for
};

struct ControlPair {
  Control master;
  WorkerControl worker;
};

// Both ends, non-blocking and closed on exec. Errors: those of socketpair(2), pipe(2), fcntl(2).
[[nodiscard]] Result<ControlPair> make_control();

}  // namespace reactor::prefork
