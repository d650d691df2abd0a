// SPDX-License-Identifier: MIT
// FileIdentity: which open file a number stands for, as far as fstat(2) tells. Private to the
// library; not installed.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

namespace reactor {

// Tells a descriptor from a later one of the same number. Pipes and sockets all differ. Files that
// share an inode do not: two openings of one device, and on Linux all eventfds, timerfds and other
// anonymous files.
struct FileIdentity {
  FileIdentity() noexcept = default;
  explicit FileIdentity(const struct stat& status) noexcept
      : device(status.st_dev), inode(status.st_ino) {}
  // Of nothing if `fd` is not open.
  [[nodiscard]] static FileIdentity of(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? FileIdentity(status) : FileIdentity();
  }
  // Whether `fd` is open and still stands for this file.
  [[nodiscard]] bool is_still(int fd) const noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && FileIdentity(status) == *this;
  }
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;

  dev_t device = 0;
  ino_t inode = 0;
};

}  // namespace reactor
