// SPDX-License-Identifier: MIT
// These are the steps of bind_unix(). The caller holds the lock of the folder (SocketFolderLock),
// which keeps other servers out meanwhile.
//
//   bind(): address in use --> connect(): refused, so its server is dead --> unlink() --> bind()
//      | bound                     | accepted, or its backlog is full
//      v                           v
//   the caller listens          address_in_use
#include "reactor/net/internal/unix_path.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "reactor/base/error.h"

namespace reactor {
namespace {

constexpr int kLockTries = 25;  // of 10 ms each

SocketPath folder_of(const Address& address) noexcept {
  const std::string_view path = address.path();
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return SocketPath(".");
  return SocketPath(slash == 0 ? "/" : path.substr(0, slash));
}

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

// Returns whether the server of the path is dead, that is, whether a connection is refused. A live
// server accepts it, or its backlog is full (unix(7)).
bool is_dead(int fd, const Address& address) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return false;
  const UniqueFd probe(::socket(AF_UNIX, type, 0));
  if (!probe) return false;
  ::fcntl(probe.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(probe.get(), F_SETFL, O_NONBLOCK);
  if (::connect(probe.get(), address.data(), address.size()) == 0) return false;
  return errno == ECONNREFUSED;
}

std::error_code bind_to(int fd, const Address& address) {
  if (::bind(fd, address.data(), address.size()) == 0) return {};
  const std::error_code error = last_system_error();
  const std::string path(address.path());
  if (error != std::errc::address_in_use || path.empty()) return error;
  if (!is_socket(path) || !is_dead(fd, address) || ::unlink(path.c_str()) != 0) return error;
  return ::bind(fd, address.data(), address.size()) == 0 ? std::error_code{} : last_system_error();
}

// Sets the mode, but not through a link that another process may have put there meanwhile.
// EOPNOTSUPP means that this libc can't do that (before glibc 2.32), or that the file is a link.
bool set_mode(const std::string& path, mode_t mode) {
  if (::fchmodat(AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0) return true;
  return errno == EOPNOTSUPP && is_socket(path) && ::chmod(path.c_str(), mode) == 0;
}

}  // namespace

SocketFolderLock::SocketFolderLock(const Address& address) noexcept {
  if (address.path().empty()) return;
  folder_.reset(::open(folder_of(address).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int left = kLockTries; folder_ && ::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0; --left) {
    if (errno != EWOULDBLOCK || left == 0) {
      folder_.reset();
    } else {
      ::poll(nullptr, 0, 10);
    }
  }
}

// Unlocks explicitly. If a fork has copied the descriptor, closing alone would leave the folder
// locked.
SocketFolderLock::~SocketFolderLock() {
  if (folder_) ::flock(folder_.get(), LOCK_UN);
}

std::error_code bind_unix(int fd, const Address& address, int mode) {
  const std::string path(address.path());
  if (path.empty() || mode < 0) return bind_to(fd, address);
  // Linux gives the file the socket's mode, less the umask. Other systems refuse this call.
  static_cast<void>(::fchmod(fd, static_cast<mode_t>(mode)) == 0);
  if (const std::error_code error = bind_to(fd, address)) return error;
  if (set_mode(path, static_cast<mode_t>(mode))) return {};
  const std::error_code error = last_system_error();
  ::unlink(path.c_str());
  return error;
}

}  // namespace reactor
