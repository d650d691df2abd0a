// SPDX-License-Identifier: MIT
// FileIdentity tells which file a descriptor number stands for, as far as fstat(2) can tell.
// Private to the library; not installed.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

namespace reactor {

// FileIdentity tells an open file from a later one with the same descriptor number. Two pipes or
// sockets always have different identities. Files that share an inode have the same identity: two
// openings of one device, and on Linux all eventfds, timerfds and other anonymous files.
struct FileIdentity {
  FileIdentity() noexcept = default;
  explicit FileIdentity(const struct stat& status) noexcept
      : device(status.st_dev), inode(status.st_ino) {}
  // Returns the identity of `fd`, or an empty one if `fd` is not open.
  [[nodiscard]] static FileIdentity of(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? FileIdentity(status) : FileIdentity();
  }
  // Returns whether `fd` is open and still stands for this file.
  [[nodiscard]] bool is_still(int fd) const noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && FileIdentity(status) == *this;
  }
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;

  dev_t device = 0;
  ino_t inode = 0;
};

}  // namespace reactor
