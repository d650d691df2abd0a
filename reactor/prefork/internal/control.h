// SPDX-License-Identifier: MIT
// Control: the messages between the master and a worker. Private to prefork.
//
//   master -- socket: Message, some with a descriptor --> worker
//   master <-- pipe: Notice, one byte each ------------- worker
//
// A client may have taken over a worker, so the channel from the worker to the master carries as
// little as possible. It is a pipe because a pipe can't carry descriptors: if the master closed a
// descriptor that a stranger made, it could block (SO_LINGER). For the same reason the socket is
// shut down in the direction to the master. A worker sends each Notice at most once, in the order
// of their numbers. A worker that sends anything else is killed.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// Sent by the worker. The numbers are the order in which it sends them.
enum class Notice : std::uint8_t {
  ready = 1,  // it is ready to accept
  renew = 2,  // it wants a successor, because it has served its requests
};

// Sent by the master.
struct Message {
  enum class Kind : std::uint8_t {
    retire,   // hand connections over to the slot `value`, finish the others, and end
    look,     // look at the scoreboard for slots that nobody serves, and accept from their queues
    sibling,  // `slot` was added; the descriptor is its listener or a mailbox end, see `value`
    serve,    // a worker that was started with Worker::Forked::held begins to accept
    drop,     // close the listeners of the address `value`, which the new program does not have
  };
  static constexpr std::uint32_t kMailboxIn = 0xffffffff;
  static constexpr std::uint32_t kMailboxOut = 0xfffffffe;

  Kind kind = Kind::retire;
  std::uint8_t unused = 0;
  std::uint16_t slot = 0;
  std::uint32_t value = 0;  // see Kind; with `sibling` an address, kMailboxIn or kMailboxOut
};

// The master's end.
class Control {
 public:
  // The result of one read of the worker's notices.
  enum class Heard : std::uint8_t {
    nothing,
    ready,
    renew,
    ended,        // no process has the other end any more
    broken_rules  // a byte that is not a Notice, a repeated one, or one out of order
  };

  Control() noexcept = default;
  Control(UniqueFd messages, UniqueFd notices) noexcept
      : messages_(std::move(messages)), notices_(std::move(notices)) {}

  // Readable when hear() has something to return.
  [[nodiscard]] int fd() const noexcept { return notices_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(notices_); }
  void close() noexcept;

  // Sends the message, with a copy of `descriptor` unless that is -1. Returns false if the worker
  // is gone, or has left many messages unread.
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
  // The result of receive(): a message, perhaps with a descriptor. If `message` is empty, and
  // neither `later` nor `ended` is set, no message waits in the socket.
  struct Received {
    std::optional<Message> message;
    UniqueFd descriptor;
    bool later = false;  // no memory, or no free descriptor: call it again after kRetryDelay
    bool ended = false;  // the master is gone
  };
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(20);

  WorkerControl() noexcept = default;
  WorkerControl(UniqueFd messages, UniqueFd notices) noexcept
      : messages_(std::move(messages)), notices_(std::move(notices)) {}

  // Readable when receive() has something to return.
  [[nodiscard]] int fd() const noexcept { return messages_.get(); }
  [[nodiscard]] Received receive() const noexcept;
  [[nodiscard]] int notices_fd() const noexcept { return notices_.get(); }

  // Returns false if the master is gone. Calls after the first one do nothing.
  bool say_ready() noexcept;
  // Asks for a successor. If this is called before say_ready(), say_ready() sends the request.
  // Calls after the first one do nothing.
  void ask_for_successor() noexcept;
  // Closes the pipe to the master. Called in a process that the worker forks, because only the
  // worker itself speaks to the master.
  void close_notices() noexcept { notices_.reset(); }

 private:
  [[nodiscard]] bool must_wait() const noexcept;
  bool say(Notice notice) const noexcept;

  UniqueFd messages_, notices_;
  bool ready_ = false;
  bool renewal_ = false;  // a successor was asked for
};

struct ControlPair {
  Control master;
  WorkerControl worker;
};

// Makes both ends. They are non-blocking and close-on-exec. Errors: those of socketpair(2),
// pipe(2), fcntl(2).
[[nodiscard]] Result<ControlPair> make_control();

}  // namespace reactor::prefork
