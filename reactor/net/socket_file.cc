// SPDX-License-Identifier: MIT
#include "reactor/net/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "reactor/base/process.h"

namespace reactor {

void SocketFile::remember(const Address& address) {
  struct stat status {};
  const std::string path(address.path());
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return;
  address_ = address;
  made_in_ = process_generation();
  device_ = static_cast<std::uint64_t>(status.st_dev);  // signed on macOS
  inode_ = status.st_ino;
}

void SocketFile::remove() noexcept {
  if (address_.path().empty() || made_in_ != process_generation()) return;
  struct stat status {};
  const std::string path(address_.path());
  if (::stat(path.c_str(), &status) != 0) return;
  if (static_cast<std::uint64_t>(status.st_dev) == device_ && status.st_ino == inode_) {
    ::unlink(path.c_str());
  }
}

}  // namespace reactor
