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

// Connections that are over but for the peer, who may still be sending: closing now would answer
// that with a reset, which can destroy the last answer before the peer has read it (RFC 9112
// section 9.6). Each is shut down for writing, then read and dropped until the peer closes, or its
// limits are reached (StreamOptions). Owns their descriptors. Private to net/.
//
// A peer decides how long its connection lingers, so there is a bound: all of a loop's hold at most
// an eighth of the descriptors that the process may have (but always kLeast). Beyond that the one
// that has lingered longest is reset. A server bounds its own further: see ServerBase::count_up().
class Lingerers {
 public:
  static constexpr std::size_t kLeast = 16;

  explicit Lingerers(Loop& loop);
  ~Lingerers();
  Lingerers(const Lingerers&) = delete;
  Lingerers& operator=(const Lingerers&) = delete;

  // Takes over a descriptor that is watched no more. `options` has the bounds; the connections that
  // share one, as those of a server do, are a group. They may end before the group does. One for
  // which there is no memory is closed at once.
  void add(UniqueFd fd, const StreamOptions& options) noexcept;
  // How many there are, in all and of one group.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t size(const StreamOptions& group) const noexcept;
  // Ends the one of the group that has lingered longest, with a reset. There must be one.
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
