// SPDX-License-Identifier: MIT
#include "reactor/net/datagram/internal/datagram_shares.h"

#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "reactor/net/datagram/internal/datagram_socket.h"

namespace reactor {
namespace {

// The kernel charges roughly this much for each datagram, besides its bytes.
constexpr std::size_t kOverhead = 1024;

std::size_t send_buffer(int fd) noexcept {
  int size = 0;
  socklen_t length = sizeof(size);
  if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) != 0) return 0;
  return static_cast<std::size_t>(std::max(size, 0));
}

}  // namespace

SendShares::SendShares(int fd) noexcept
    : fd_(fd),
      room_(send_buffer(fd)),
      seed_(static_cast<std::size_t>(monotonic_now().time_since_epoch().count())) {}

bool SendShares::admits(std::string_view receiver, std::size_t bytes, TimePoint now) noexcept {
  const std::size_t hash = std::hash<std::string_view>{}(receiver) ^ seed_;
  Cell& cell = cells_[(hash * 0x9e3779b97f4a7c15ULL) >> 56];
  const std::size_t charge = bytes + kOverhead;
  // Each receiver gets a little without a check.
  if (cell.pause == Duration::zero() && cell.charged + charge <= room_ / 64) {
    cell.charged += charge;
    return true;
  }
  const std::size_t unread = unread_bytes(fd_);
  // This receiver has read, or all receivers together have read enough. Begin this receiver's
  // charge anew.
  if (unread <= std::max(cell.mark, room_ / 4)) {
    cell = {charge, unread, {}, {}};
    return true;
  }
  if (!may_test(cell, charge, unread, now)) return false;
  const Duration pause = std::max(cell.pause * 2, kFirstPause);
  cell = {charge, unread, pause, saturating_add(now, pause)};
  return true;
}

// Returns whether the receiver may get a test datagram. The last part of the buffer is reserved for
// small datagrams, and for receivers that have not failed a test. A receiver that has failed a test
// must also wait until next_test.
bool SendShares::may_test(const Cell& cell, std::size_t charge, std::size_t unread,
                          TimePoint now) const noexcept {
  const bool large = charge > room_ / 32;
  if (cell.pause == Duration::zero()) return unread + charge <= room_ / 16 * (large ? 12 : 15);
  return now >= cell.next_test && unread + charge <= room_ / 16 * (large ? 8 : 12);
}

}  // namespace reactor
