// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "reactor/net/address.h"

namespace reactor {

// Removes the file of a unix socket when the socket ends. It leaves the file alone if another
// server has put its own in that place, or if this process is a forked child (G9).
class SocketFile {
 public:
  // Remembers the file. Does nothing for addresses without a path.
  void remember(const Address& address);
  void remove() noexcept;

 private:
  std::string path_;           // empty: none
  std::uint32_t made_in_ = 0;  // process generation
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace reactor
