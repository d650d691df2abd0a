// SPDX-License-Identifier: MIT
#include "reactor/net/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "reactor/base/process.h"

namespace reactor {

void SocketFile::remember(const Address& address) {
  struct stat status {};
  std::string path(address.path());
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return;
  path_ = std::move(path);
  made_in_ = process_generation();
  device_ = static_cast<std::uint64_t>(status.st_dev);  // signed on macOS
  inode_ = status.st_ino;
}

void SocketFile::remove() noexcept {
  struct stat status {};
  if (path_.empty() || made_in_ != process_generation()) return;
  if (::stat(path_.c_str(), &status) != 0) return;
  if (static_cast<std::uint64_t>(status.st_dev) == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace reactor
