// SPDX-License-Identifier: MIT
// MailReceiver: takes the connections that wait in mailboxes into this worker. While this process
// has no free descriptor, connections stay in the mailbox, because the kernel would close a
// connection that is received. If this worker is full, it puts a new connection back into the
// mailbox, and this or another worker takes it later. A connection that another worker has already
// served is taken even if this worker is full. Private to prefork.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"

namespace reactor::prefork {

// The shortest time between two log lines of one kind.
inline constexpr Duration kBetweenLines = std::chrono::minutes(1);

class MailReceiver {
 public:
  // How long it pauses after a connection that it could not take.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(50);

  MailReceiver(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes, unsigned own_slot);
  MailReceiver(const MailReceiver&) = delete;
  MailReceiver& operator=(const MailReceiver&) = delete;

  // Gives the connections that it takes to `service` from now on. `service` must outlive this
  // object. After an upgrade, this also begins to take the connections that the earlier program
  // left in its mailboxes or still sends there. All workers share those mailboxes.
  void start(Service& service);
  // open() begins to take connections from the mailbox of `slot`, and close() stops that.
  [[nodiscard]] Result<> open(unsigned slot);
  void close(unsigned slot) noexcept;
  // Takes the connections that wait in the mailbox of `slot` now, up to kPerTurn, even if this
  // worker is full. Returns how many it took.
  int take_all(unsigned slot);

 private:
  static constexpr int kPerTurn = 64;

  struct Source {
    int mailbox;
    std::optional<unsigned> slot;  // empty: a mailbox of an earlier program
  };

  enum class Limit : std::uint8_t { kept, ignored };

  [[nodiscard]] Result<IoWatcher> watch(Source source);
  int take_from(Source source, Limit limit);
  [[nodiscard]] bool put_back(Source source, const MailedConnection& mailed);
  void forget(Source source);
  void take(MailedConnection mailed);
  void pause();
  void have_room();
  void go_on();
  // Each kind is logged at most once per kBetweenLines.
  enum class Complaint : std::uint8_t { no_connection, not_taken, no_descriptor };
  void complain(Complaint kind, const std::string& what);

  Loop& loop_;
  Scoreboard& scoreboard_;
  Mailboxes& mailboxes_;
  const unsigned own_;
  Service* service_ = nullptr;
  std::vector<IoWatcher> of_slots_;
  std::vector<IoWatcher> earlier_;
  Timer retry_;
  std::array<TimePoint, 3> next_lines_{};  // when a complaint may be logged again
};

}  // namespace reactor::prefork
