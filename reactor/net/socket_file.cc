// SPDX-License-Identifier: MIT
#include "reactor/net/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "reactor/base/internal/fork_count.h"
#include "reactor/net/internal/unix_path.h"

namespace reactor {

SocketFile::SocketFile(SocketFile&& other) noexcept
    : address_(std::exchange(other.address_, Address())),
      made_in_(other.made_in_),
      device_(other.device_),
      inode_(other.inode_) {}

void SocketFile::take(const Address& address) noexcept {
  release();
  struct stat status {};
  if (address.path().empty() || ::stat(SocketPath(address.path()).c_str(), &status) != 0) return;
  address_ = address;
  made_in_ = process_generation();
  device_ = static_cast<std::uint64_t>(status.st_dev);  // signed on macOS
  inode_ = status.st_ino;
}

SocketFile::~SocketFile() {
  if (address_.path().empty() || made_in_ != process_generation()) return;
  const SocketPath path(address_.path());
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  if (static_cast<std::uint64_t>(status.st_dev) == device_ && status.st_ino == inode_) {
    ::unlink(path.c_str());
  }
}

}  // namespace reactor
