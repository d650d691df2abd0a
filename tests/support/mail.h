// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cerrno>
#include <utility>

#include "reactor/loop/loop.h"
#include "reactor/net/fd_passing.h"
#include "reactor/net/service.h"
#include "tests/support/loop_test.h"

namespace reactor {

// Plays the other process of a hand-over, inside the process of the test. Connections travel
// through a socket pair to another service, as they would to another process.
class Mail final : public HandOverTarget {
 public:
  Mail() : ends_(get(message_pair())) {}

  HandOverReply send(int fd, std::span<const std::byte> state) noexcept override {
    ++asked;
    if (refuses) return HandOverReply::never;
    const IoResult sent = send_with_descriptor(ends_.first.get(), state, fd);
    if (sent.would_block()) ++turned_away;
    return sent.ok()            ? HandOverReply::taken
           : sent.would_block() ? HandOverReply::busy
                                : HandOverReply::never;
  }

  // Delivers at most `letters` of the connections that are there to `next`. Returns how many.
  int deliver(Service& next, int letters = 1 << 30) {
    int count = 0;
    for (; count < letters; ++count) {
      std::array<std::byte, 4096> state;
      UniqueFd descriptor;
      const IoResult got = receive_with_descriptor(ends_.second.get(), state, descriptor);
      if (!got.ok()) break;
      EXPECT_TRUE(descriptor);
      EXPECT_TRUE(next.adopt_connection(Socket(std::move(descriptor)),
                                        std::span<const std::byte>(state).first(got.count())));
    }
    return count;
  }

  int asked = 0, turned_away = 0;
  bool refuses = false;

 private:
  std::pair<UniqueFd, UniqueFd> ends_;
};

}  // namespace reactor
