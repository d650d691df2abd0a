// SPDX-License-Identifier: MIT
// Mailboxes: one for each slot, where its worker finds connections that others send it. The master
// makes them and keeps them open, so that a connection waits for the worker that serves the slot
// next. Nothing can be sent in the other direction. A new program (USR2) makes its own, so that no
// worker of the earlier one can read or write them, and only receives from those that were there.
// Private to prefork.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// A connection on its way, and what its successor has to know of it.
struct Letter {
  UniqueFd connection;
  std::span<const std::byte> state;  // valid until the next one is received
  bool ended = false;                // nobody can send any more
};

class Mailboxes {
 public:
  enum class End : std::uint8_t { in, out };

  static constexpr std::size_t kMaxState = 4096;  // bytes of a connection's state

  // Makes those that are missing, up to `count`. Errors: those of socketpair(2).
  [[nodiscard]] std::error_code grow(unsigned count);

  // Those of an earlier program: only to receive from.
  void adopt(std::vector<std::pair<UniqueFd, UniqueFd>> ends);
  // Their ends to receive from.
  [[nodiscard]] std::span<const UniqueFd> earlier() const noexcept { return earlier_; }

  [[nodiscard]] unsigned count() const noexcept { return static_cast<unsigned>(boxes_.size()); }
  // Readable while a letter waits; writable while one more fits.
  [[nodiscard]] int out_of(unsigned slot) const noexcept { return boxes_[slot].out.get(); }
  [[nodiscard]] int into(unsigned slot) const noexcept { return boxes_[slot].in.get(); }

  // In a worker: one end of a mailbox that was made after its fork.
  void learn(unsigned slot, End end, UniqueFd descriptor);

  // Whether something waits in the mailbox of `slot`.
  [[nodiscard]] bool waits(unsigned slot) const noexcept;

  // Closes this process's ends.
  void close() noexcept;
  // The same in the master, which may hold the last copies: descriptors that still wait are closed
  // with their mailbox, and closing one that a stranger sent can block (see close_apart()).
  void leave();

  // Sends a copy of `connection`. No value: the box is full, or too many descriptors are under way.
  // Errors: message_size for a state beyond kMaxState, those of sendmsg(2).
  [[nodiscard]] Result<bool> send(unsigned slot, int connection,
                                  std::span<const std::byte> state) const noexcept;
  // The next connection at out_of() or earlier(); its descriptor is empty if none waits. Never
  // takes a connection for which there is no descriptor: too_many_files_open leaves it where it is.
  // Errors: that; those of recvmsg(2); bad_message for what no worker of this version sends, which
  // is closed.
  [[nodiscard]] Result<Letter> receive(int mailbox) noexcept;

 private:
  struct Box {
    UniqueFd in, out;
  };
  std::vector<Box> boxes_;
  std::vector<UniqueFd> earlier_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kMaxState + 1);
};

}  // namespace reactor::prefork
