// SPDX-License-Identifier: MIT
// Mailboxes: each slot has a mailbox, from which its worker receives the connections that other
// workers send it. The master makes the mailboxes and keeps them open. So if a worker dies, the
// connections in its mailbox wait for the worker that serves the slot next. Nothing can be sent in
// the other direction. The new program of an upgrade (USR2) makes its own mailboxes, so that no
// worker of the earlier program can read or write them. From the mailboxes of the earlier program
// it only receives. Private to prefork.
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

// A connection on its way to another worker, with the message of its hand-over (net/hand_over.h).
// The message is empty if the connection was only accepted.
struct MailedConnection {
  UniqueFd connection;
  std::span<const std::byte> state;  // that message; valid until the next receive()
  bool ended = false;                // nobody can send to this mailbox any more
};

class Mailboxes {
 public:
  enum class End : std::uint8_t { in, out };

  static constexpr std::size_t kMaxState = 4096;  // bytes of a hand-over's message

  // Makes the mailboxes that are missing, up to `count`. Errors: those of socketpair(2).
  [[nodiscard]] std::error_code grow(unsigned count);
  // Drops the mailboxes from number `count` on, which no worker knows yet.
  void shrink(unsigned count);

  // Takes the mailboxes of an earlier program, only to receive from them.
  void adopt(std::vector<std::pair<UniqueFd, UniqueFd>> ends);
  // The receiving ends of the earlier program's mailboxes.
  [[nodiscard]] std::span<const UniqueFd> earlier() const noexcept { return earlier_; }

  [[nodiscard]] unsigned count() const noexcept { return static_cast<unsigned>(boxes_.size()); }
  // out_of() is readable while a connection waits; into() is writable while one more fits.
  [[nodiscard]] int out_of(unsigned slot) const noexcept { return boxes_[slot].out.get(); }
  [[nodiscard]] int into(unsigned slot) const noexcept { return boxes_[slot].in.get(); }

  // Called in a worker: takes one end of a mailbox that the master made after the fork.
  void learn(unsigned slot, End end, UniqueFd descriptor);

  // Whether a connection waits in the mailbox of `slot`.
  [[nodiscard]] bool waits(unsigned slot) const noexcept;

  // Closes this process's ends.
  void close() noexcept;
  // Closes the ends in the master, without waiting. An end may be the last copy. Closing it then
  // also closes the descriptors that still wait in the mailbox, and close(2) of a descriptor that a
  // stranger sent can block (see close_apart()).
  void leave();

  // Sends a copy of `connection`. Returns false if the mailbox is full, or too many descriptors are
  // in flight. Errors: message_size if `state`, the message of the hand-over, is longer than
  // kMaxState; those of sendmsg(2).
  [[nodiscard]] Result<bool> send(unsigned slot, int connection,
                                  std::span<const std::byte> state) const noexcept;
  // Returns the next connection from out_of() or earlier(); its descriptor is empty if none waits.
  // If no descriptor is free, the connection stays in the mailbox, and the error is
  // too_many_files_open. Other errors: those of recvmsg(2); bad_message if no worker of this
  // version sends such a message; its descriptor is closed.
  [[nodiscard]] Result<MailedConnection> receive(int mailbox) noexcept;

 private:
  struct Box {
    UniqueFd in, out;
  };
  std::vector<Box> boxes_;
  std::vector<UniqueFd> earlier_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kMaxState + 1);
};

}  // namespace reactor::prefork
