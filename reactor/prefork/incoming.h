// SPDX-License-Identifier: MIT
// Incoming: takes the connections that wait in mailboxes into this worker. A connection is safe in
// a mailbox, but receiving it without a free descriptor would close it, so nothing is received
// until there is one. A new connection that finds this worker full goes back into the mailbox, from
// which it or another worker takes it later; those that were served before are taken in any case.
// Private to prefork.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/board.h"
#include "reactor/prefork/mailboxes.h"

namespace reactor::prefork {

// Of lines of one kind in the log, at the least.
inline constexpr Duration kBetweenLines = std::chrono::minutes(1);

class Incoming {
 public:
  // Until it looks again whether a descriptor is free, and what waits behind new connections.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  Incoming(Loop& loop, Board& board, Mailboxes& mailboxes, unsigned own_slot);
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  // From here on `service`, which outlives this, gets the connections. Those that an earlier
  // program left, or still sends, are for all workers of this one.
  void start(Service& service);
  // Takes from the mailbox of `slot` from now on, and no more.
  [[nodiscard]] Result<> open(unsigned slot);
  void close(unsigned slot) noexcept;
  // Takes what waits in that mailbox now, up to kPerTurn, even if this worker is full. Returns how
  // many there were.
  int take_all(unsigned slot);

 private:
  static constexpr int kPerTurn = 64;

  struct Source {
    int mailbox;
    std::optional<unsigned> slot;  // none: an earlier program's
  };

  enum class Limit : std::uint8_t { kept, ignored };

  [[nodiscard]] Result<IoWatcher> watch(Source source);
  int take_from(Source source, Limit limit);
  [[nodiscard]] bool put_back(Source source, const Letter& letter);
  void forget(Source source);
  void take(Letter letter);
  void pause();
  void have_room();
  void go_on();
  // Each kind of complaint at a limited rate of its own.
  enum class Complaint : std::uint8_t { no_connection, not_taken, no_descriptor };
  void complain(Complaint kind, const std::string& what);

  Loop& loop_;
  Board& board_;
  Mailboxes& mailboxes_;
  const unsigned own_;
  Service* service_ = nullptr;
  std::vector<IoWatcher> of_slots_;
  std::vector<IoWatcher> earlier_;
  Timer retry_;
  std::array<TimePoint, 3> next_lines_{};  // in the log, by Complaint
};

}  // namespace reactor::prefork
