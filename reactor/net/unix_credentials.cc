// SPDX-License-Identifier: MIT
// Socket::peer_credentials() uses SO_PEERCRED on Linux, and getpeereid(3) and LOCAL_PEERPID
// elsewhere.
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/net/socket.h"

namespace reactor {
namespace {

#if defined(__linux__)

std::error_code ask(int fd, PeerCredentials& answer) noexcept {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return last_system_error();
  if (peer.uid == static_cast<uid_t>(-1)) return system_error(ENOTCONN);
  answer = {peer.pid, peer.uid, peer.gid};
  return {};
}

#else

std::error_code ask(int fd, PeerCredentials& answer) noexcept {
  if (::getpeereid(fd, &answer.uid, &answer.gid) != 0) return last_system_error();
#if defined(LOCAL_PEERPID)
  socklen_t length = sizeof(answer.pid);
  if (::getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &answer.pid, &length) != 0) answer.pid = 0;
#endif
  return {};
}

#endif

}  // namespace

Result<PeerCredentials> Socket::peer_credentials(int fd) {
  const Result<Address> own = local_address(fd);
  if (!own) return own.error();
  if (!own->is_unix()) return Errc::not_supported;
  PeerCredentials answer;
  if (const std::error_code error = ask(fd, answer)) return error;
  return answer;
}

}  // namespace reactor
