// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reactor/base/clock.h"

namespace reactor {

// Decides whether a unix receiver may get another datagram. Linux charges what a receiver has not
// read to the sender's buffer (SO_SNDBUF), so one receiver that never reads could use all of it up,
// and nobody would be answered any more. Nothing tells who has read how much, only how much all
// together have not (SIOCOUTQ). So each receiver may get a little unasked. For more, that sum must
// be low, or at most what it was when the receiver last got something: then it has read that.
// A receiver that can't be cleared that way gets one datagram as a test, and another one after
// 100 ms, 200 ms and so on, as somebody else may be why the sum rose.
//
// Receivers are told apart by a hash of their name: two that share a cell share a share. Several
// processes that send through one socket see the same sum. Private to net/.
class SendShares {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);

  explicit SendShares(int fd) noexcept;

  // Whether `receiver` may get a datagram of this size now; it is charged with it then.
  [[nodiscard]] bool admits(std::string_view receiver, std::size_t bytes, TimePoint now) noexcept;

 private:
  struct Cell {
    std::size_t charged = 0;  // bytes since it was cleared
    std::size_t mark = 0;     // what nobody had read then
    Duration pause{};         // until the next test; 0: it is not being tested
    TimePoint next_test{};
  };
  [[nodiscard]] bool may_test(const Cell& cell, std::size_t charge, std::size_t unread,
                              TimePoint now) const noexcept;

  int fd_;
  std::size_t room_;
  std::size_t seed_;
  std::array<Cell, 256> cells_{};
};

}  // namespace reactor
