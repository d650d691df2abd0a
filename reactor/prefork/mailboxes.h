// SPDX-License-Identifier: MIT
// Mailboxes: one for each slot, where its worker finds connections that others send it. The master
// makes them and keeps them open, so that a letter waits for whoever serves the slot next. Private
// to prefork.
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
};

class Mailboxes {
 public:
  enum class End : std::uint8_t { in, out };

  static constexpr std::size_t kMaxState = 4096;  // octets of a connection's state

  // Makes those that are missing, up to `count`. Errors: those of socketpair(2).
  [[nodiscard]] std::error_code grow(unsigned count);

  // Those of another process, before the first grow().
  void adopt(std::vector<std::pair<UniqueFd, UniqueFd>> ends);

  [[nodiscard]] unsigned count() const noexcept { return static_cast<unsigned>(boxes_.size()); }
  // Readable while a letter waits; writable while one more fits.
  [[nodiscard]] int out_of(unsigned slot) const noexcept { return boxes_[slot].out.get(); }
  [[nodiscard]] int into(unsigned slot) const noexcept { return boxes_[slot].in.get(); }

  // In a worker: one end of a mailbox that was made after its fork.
  void learn(unsigned slot, End end, UniqueFd descriptor);

  // Closes this process's ends.
  void close() noexcept { boxes_.clear(); }

  // Sends a copy of `connection`. No value: the box is full, or too many descriptors are under way.
  // Errors: message_size for a state beyond kMaxState, those of sendmsg(2).
  [[nodiscard]] Result<bool> send(unsigned slot, int connection,
                                  std::span<const std::byte> state) const noexcept;
  // The next letter; none waits where its connection is empty. Errors: those of recvmsg(2).
  [[nodiscard]] Result<Letter> receive(unsigned slot) noexcept;

 private:
  struct Box {
    UniqueFd in, out;
  };
  std::vector<Box> boxes_;
  std::vector<std::byte> buffer_;
};

}  // namespace reactor::prefork
