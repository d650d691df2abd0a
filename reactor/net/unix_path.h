// SPDX-License-Identifier: MIT
// The file of a unix socket: put in place without a race, a dead server's replaced and a live one's
// never. Private to net/.
#pragma once

#include <system_error>

#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"

namespace reactor {

// Hold it from before bind_unix() until listen() is done: of several servers that start at the same
// moment one binds, and the others find it alive; in between, a socket that does not listen yet
// looks like a dead server's. Does nothing for all but paths. A lock (flock(2)) on the folder,
// which leaves no file behind; not to be had where the folder can't be read, or somebody keeps it
// locked for longer than a quarter of a second: then it goes on without.
class SocketFolderLock {
 public:
  explicit SocketFolderLock(const Address& address) noexcept;
  ~SocketFolderLock();
  SocketFolderLock(const SocketFolderLock&) = delete;
  SocketFolderLock& operator=(const SocketFolderLock&) = delete;

 private:
  UniqueFd folder_;
};

// Binds a unix socket. A file that a dead server left behind is replaced. `mode`: the file's
// permissions, 0..0777, whatever the umask; -1 leaves them to that. Nobody gets in by others: they
// are set before listen(), and on Linux before the file is there. Where it fails it leaves no file.
// Errors: address_in_use where a server answers or the file is no socket; those of bind(2),
// chmod(2).
[[nodiscard]] std::error_code bind_unix(int fd, const Address& address, int mode);

// Removes the file that bind_unix() made, for the caller whose next step failed.
void unbind_unix(const Address& address) noexcept;

}  // namespace reactor
