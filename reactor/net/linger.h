// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"

namespace reactor {

// Connections that are over but for the peer, who may still be sending: closing now would answer
// that with a reset, which can destroy the last answer before the peer has read it (RFC 9112
// section 9.6). Each is shut down for writing, then read and dropped until the peer closes, or its
// time or its octets run out. Owns their descriptors. Private to net/.
class Lingerers {
 public:
  explicit Lingerers(Loop& loop);
  ~Lingerers();
  Lingerers(const Lingerers&) = delete;
  Lingerers& operator=(const Lingerers&) = delete;

  // Takes over a descriptor that is watched no more.
  void add(UniqueFd fd, Duration time, std::size_t octets);
  [[nodiscard]] std::size_t size() const noexcept { return lingering_.size(); }

 private:
  class Lingerer;
  void end(Lingerer& lingerer) noexcept;

  Loop& loop_;
  std::list<std::unique_ptr<Lingerer>> lingering_;
};

}  // namespace reactor
