// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reactor/base/clock.h"

namespace reactor {

// SendShares decides whether a unix receiver may get another datagram. Linux charges unread
// datagrams to the sender's buffer (SO_SNDBUF), so one receiver that never reads could use up all
// of it, and no other would get an answer. The kernel does not say which receiver has read how
// much, only how many bytes all of them together have not read (SIOCOUTQ). So these are the rules:
//
//  * Each receiver may get a little without a check.
//  * It may get more if the sum of unread bytes is low. It may also get more if the sum is not
//    higher than when this receiver's charge last began, because the receiver must have read since.
//  * Otherwise the sum may be high only because of other receivers. So the receiver gets one
//    datagram as a test, and another one after 100 ms, 200 ms and so on.
//
// A hash of the receiver's name selects a cell. Two receivers that share a cell share its limit.
// Several processes that send through one socket see the same sum. Private to net/.
class SendShares {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);

  explicit SendShares(int fd) noexcept;

  // Returns whether `receiver` may get a datagram of this size now. If so, charges the receiver for
  // the datagram.
  [[nodiscard]] bool admits(std::string_view receiver, std::size_t bytes, TimePoint now) noexcept;

 private:
  struct Cell {
    std::size_t charged = 0;  // bytes admitted since the receiver last proved to have read
    std::size_t mark = 0;     // the sum of unread bytes at that time
    Duration pause{};         // between tests; 0: the receiver is not being tested
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
