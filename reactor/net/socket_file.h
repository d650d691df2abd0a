// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "reactor/net/address.h"

namespace reactor {

// SocketFile owns the file of a unix socket. Its destructor removes the file, unless another server
// has put its own file at the path, or this process is a forked child (G9). Make a SocketFile right
// after bind(2), so that no file is left behind if a later step fails.
class SocketFile {
 public:
  // Owns no file.
  SocketFile() noexcept = default;
  // Owns the file at `address`. Owns none if the address has no path.
  explicit SocketFile(const Address& address) noexcept { take(address); }
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

  // Owns the file at `address` from now on. The previous file stays.
  void take(const Address& address) noexcept;
  // Gives up the file, which then stays.
  void release() noexcept { address_ = Address(); }

 private:
  Address address_;            // empty: none
  std::uint32_t made_in_ = 0;  // process generation
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace reactor
