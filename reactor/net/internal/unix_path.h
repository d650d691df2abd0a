// SPDX-License-Identifier: MIT
// These functions make the file of a unix socket without a race. They replace the file of a dead
// server, but never that of a live one. Private to net/.
#pragma once

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"

namespace reactor {

// SocketPath is the path of a unix socket, or of its folder, as a C string. It allocates nothing,
// for functions that must not throw.
class SocketPath {
 public:
  explicit SocketPath(std::string_view path) noexcept {
    path.copy(text_.data(), std::min(path.size(), text_.size() - 1));
  }
  [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }

 private:
  std::array<char, sizeof(sockaddr_un::sun_path) + 1> text_{};
};

// SocketFolderLock locks the folder of a unix socket (flock(2)). Hold it from before bind_unix()
// until listen() is done: a socket that is bound but does not listen yet looks like the socket of a
// dead server. If several servers start at the same moment, the lock lets one of them finish first,
// and the others find it alive. The lock leaves no file behind, and does nothing for addresses
// without a path. If the folder can't be read, or stays locked for a quarter of a second, the
// constructor returns without the lock.
class SocketFolderLock {
 public:
  explicit SocketFolderLock(const Address& address) noexcept;
  ~SocketFolderLock();
  SocketFolderLock(const SocketFolderLock&) = delete;
  SocketFolderLock& operator=(const SocketFolderLock&) = delete;

 private:
  UniqueFd folder_;
};

// Binds a unix socket. A file that a dead server left behind is replaced. `mode` is the file's
// permissions, 0..0777, regardless of the umask; -1 leaves them to the umask. Nobody can connect
// under other permissions, because they are set before listen(), and on Linux before the file
// exists. After an error no file is left. After success the caller owns the file (SocketFile).
// Errors: address_in_use if a server answers or the file is no socket; those of bind(2), chmod(2).
[[nodiscard]] std::error_code bind_unix(int fd, const Address& address, int mode);

}  // namespace reactor
