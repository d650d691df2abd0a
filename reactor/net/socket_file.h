// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "reactor/net/address.h"

namespace reactor {

// Owns the file of a unix socket, and removes it when it is destroyed. It leaves the file alone if
// another server has put its own in that place, or if this process is a forked child (G9). Make it
// right after bind(2): whatever fails later, the file does not stay.
class SocketFile {
 public:
  // Owns no file.
  SocketFile() noexcept = default;
  // Owns the file at `address`. Owns none if the address has no path.
  explicit SocketFile(const Address& address) noexcept { take(address); }
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

  // Owns the file at `address` instead of the one before, which is left alone.
  void take(const Address& address) noexcept;
  // Leaves the file alone from here on.
  void release() noexcept { address_ = Address(); }

 private:
  Address address_;            // empty: none
  std::uint32_t made_in_ = 0;  // process generation
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace reactor
