// SPDX-License-Identifier: MIT
#include "reactor/net/fd_passing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "reactor/base/error.h"

namespace reactor {
namespace {

#if defined(MSG_NOSIGNAL)
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
constexpr int kSendFlags = MSG_DONTWAIT;
#endif
#if defined(MSG_CMSG_CLOEXEC)
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
#else
constexpr int kReceiveFlags = MSG_DONTWAIT;
#endif

constexpr std::size_t kMostDescriptors = 16;  // that a stranger may send us in one message

IoResult result_of(ssize_t count) noexcept {
  if (count >= 0) return IoResult::bytes(static_cast<std::size_t>(count));
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return IoResult::blocked();
  return IoResult::failed(errno);
}

// Keeps the first of the descriptors that came; the others would leak.
void take_descriptors(const msghdr& message, UniqueFd& kept) noexcept {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      UniqueFd descriptor(fd);
      ::fcntl(fd, F_SETFD, FD_CLOEXEC);
      if (!kept) kept = std::move(descriptor);
    }
  }
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> message_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0 &&
      ::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) != 0) {
    return last_system_error();
  }
  std::pair<UniqueFd, UniqueFd> pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  for (const int fd : ends) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return last_system_error();
    }
  }
  return pair;
}

IoResult send_with_descriptor(int socket, std::span<const std::byte> bytes,
                              int descriptor) noexcept {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  ssize_t count = 0;
  do count = ::sendmsg(socket, &message, kSendFlags);
  while (count < 0 && errno == EINTR);
  return result_of(count);
}

IoResult receive_with_descriptor(int socket, std::span<std::byte> buffer,
                                 UniqueFd& descriptor) noexcept {
  descriptor.reset();
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostDescriptors)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = 0;
  do count = ::recvmsg(socket, &message, kReceiveFlags);
  while (count < 0 && errno == EINTR);
  if (count < 0) return result_of(count);
  take_descriptors(message, descriptor);
  if ((message.msg_flags & MSG_TRUNC) != 0) {  // half a state is worse than none
    descriptor.reset();
    return IoResult::failed(EMSGSIZE);
  }
  return count == 0 ? IoResult::end_of_stream() : result_of(count);
}

}  // namespace reactor
