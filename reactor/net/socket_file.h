// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "reactor/net/address.h"

namespace reactor {

// The file of a unix socket that goes with it: by the time of the end another server may have put
// its own there, and a forked child leaves it to its parent (G9).
class SocketFile {
 public:
  // Nothing for all but paths.
  void remember(const Address& address);
  void remove() noexcept;

 private:
  std::string path_;           // empty: none
  std::uint32_t made_in_ = 0;  // process generation
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace reactor
