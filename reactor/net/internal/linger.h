// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>

#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"

namespace reactor {

struct StreamOptions;

// Lingerers holds the sockets of closed connections while their peers may still be sending. Closing
// such a socket at once would answer the peer's bytes with a reset, which can destroy the last
// answer before the peer has read it (RFC 9112 section 9.6). So each socket is shut down for
// writing. Then its input is read and dropped until the peer closes or a limit of StreamOptions is
// reached. Lingerers owns the descriptors. Private to net/.
//
// The peer decides how long its connection lingers, so the number of sockets is bounded. All
// lingering sockets of a loop hold at most an eighth of the descriptors that the process may have,
// but kLeast are always allowed. Beyond that, the socket that has lingered longest in the largest
// group is reset. Each server has a further bound: see ServerBase::count_up().
class Lingerers {
 public:
  static constexpr std::size_t kLeast = 16;

  explicit Lingerers(Loop& loop);
  ~Lingerers();
  Lingerers(const Lingerers&) = delete;
  Lingerers& operator=(const Lingerers&) = delete;

  // Takes over a descriptor that no poller watches. `options` has the limits of this socket. All
  // sockets with the same `options` object form a group, for example those of one server. `options`
  // may be destroyed while the socket still lingers. If there is no memory, the descriptor is
  // closed at once.
  void add(UniqueFd fd, const StreamOptions& options) noexcept;
  // Returns how many sockets linger, in all or in one group.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t size(const StreamOptions& group) const noexcept;
  // Resets the socket that has lingered longest in the group, which must not be empty.
  void reset_oldest(const StreamOptions& group) noexcept;

 private:
  class Lingerer;
  using Queue = std::list<std::unique_ptr<Lingerer>>;  // the oldest first; never empty in queues_
  void start(UniqueFd fd, const StreamOptions& options);
  void end(Lingerer& lingerer) noexcept;
  void keep_to_share() noexcept;
  void reset_front(Queue& queue) noexcept;

  Loop& loop_;
  std::unordered_map<const StreamOptions*, Queue> queues_;  // by group; the key is only compared
  std::size_t size_ = 0;
};

}  // namespace reactor
