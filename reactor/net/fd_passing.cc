// SPDX-License-Identifier: MIT
#include "reactor/net/fd_passing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/internal/send_flags.h"

namespace reactor {
namespace {

#if defined(MSG_CMSG_CLOEXEC)
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
#else
constexpr int kReceiveFlags = MSG_DONTWAIT;
#endif

// kSenderPidfd is SCM_PIDFD (Linux 6.5), which the headers may not define yet. The #if tests for
// SCM_CREDENTIALS because only Linux defines it.
#if defined(SCM_CREDENTIALS)
constexpr int kSenderPidfd = 4;
#else
constexpr int kSenderPidfd = SCM_RIGHTS;  // other systems send no pidfd
#endif

IoResult result_of(ssize_t count) noexcept {
  if (count >= 0) return IoResult::bytes(static_cast<std::size_t>(count));
  if (errno == EAGAIN || errno == EWOULDBLOCK) return IoResult::blocked();
  return IoResult::failed(errno);
}

// The BSDs report a full queue of a unix socket as ENOBUFS.
IoResult result_of_send(ssize_t count) noexcept {
  return count < 0 && errno == ENOBUFS ? IoResult::blocked() : result_of(count);
}

struct Envelope {
  Envelope(std::byte* bytes, std::size_t count) noexcept : part{bytes, count} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  Envelope(const Envelope&) = delete;
  Envelope& operator=(const Envelope&) = delete;

  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostDescriptors)> control;
  iovec part;
  msghdr header{};
};

UniqueFd descriptor_at(const cmsghdr& part, std::size_t index) noexcept {
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(&part) + index * sizeof(int), sizeof fd);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return UniqueFd(fd);
}

// Fills `places` with the descriptors that the message carries, and closes those that do not fit.
// Also closes the sender's pidfd, which the kernel adds if the socket has SO_PASSPIDFD. Returns how
// many descriptors the sender sent.
std::size_t take_descriptors(const msghdr& message, std::span<UniqueFd> places) noexcept {
  std::size_t came = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
    const bool sent = part->cmsg_type == SCM_RIGHTS;
    if (part->cmsg_level != SOL_SOCKET || !(sent || part->cmsg_type == kSenderPidfd)) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      UniqueFd descriptor = descriptor_at(*part, i);
      if (sent && came < places.size()) places[came] = std::move(descriptor);
      if (sent) ++came;
    }
  }
  return came;
}

void close_all(std::span<UniqueFd> places) noexcept {
  for (UniqueFd& place : places) place.reset();
}

// Calls recvmsg(2) with room for as many descriptors as one message can have.
IoResult receive(int socket, Envelope& message) noexcept {
  message.header.msg_control = message.control.data();
  message.header.msg_controllen =
      static_cast<decltype(msghdr::msg_controllen)>(message.control.size());
  ssize_t count = 0;
  do count = ::recvmsg(socket, &message.header, kReceiveFlags);
  while (count < 0 && errno == EINTR);
  return count == 0 ? IoResult::end_of_stream() : result_of(count);
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
    if (!make_private(fd)) return last_system_error();
#if defined(SO_NOSIGPIPE)
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  }
  return pair;
}

IoResult send_with_descriptor(int socket, std::span<const std::byte> bytes,
                              int descriptor) noexcept {
  const std::span<const int> one(&descriptor, descriptor >= 0 ? 1 : 0);
  return send_with_descriptors(socket, bytes, one);
}

IoResult send_with_descriptors(int socket, std::span<const std::byte> bytes,
                               std::span<const int> descriptors) noexcept {
  if (descriptors.size() > kMostDescriptors) return IoResult::failed(EINVAL);
  Envelope message(const_cast<std::byte*>(bytes.data()), bytes.size());
  if (const std::size_t size = descriptors.size_bytes(); size > 0) {
    message.control.fill(0);
    message.header.msg_control = message.control.data();
    message.header.msg_controllen = static_cast<decltype(msghdr::msg_controllen)>(CMSG_SPACE(size));
    cmsghdr* const header = CMSG_FIRSTHDR(&message.header);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = static_cast<decltype(cmsghdr::cmsg_len)>(CMSG_LEN(size));
    std::memcpy(CMSG_DATA(header), descriptors.data(), size);
  }
  ssize_t count = 0;
  do count = ::sendmsg(socket, &message.header, kSendNow);
  while (count < 0 && errno == EINTR);
  return result_of_send(count);
}

IoResult receive_with_descriptor(int socket, std::span<std::byte> buffer,
                                 UniqueFd& descriptor) noexcept {
  descriptor.reset();
  Envelope message(buffer.data(), buffer.size());
  const IoResult result = receive(socket, message);
  if (!result.ok() && !result.end()) return result;
  take_descriptors(message.header, {&descriptor, 1});
  const int cut = message.header.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
  if (cut == 0) return result;
  descriptor.reset();  // a part of a message must not be used
  return IoResult::failed((cut & MSG_CTRUNC) != 0 ? EMFILE : EMSGSIZE);
}

Result<ReceivedDescriptors> receive_with_descriptors(int socket, std::span<std::byte> buffer,
                                                     std::span<UniqueFd> places) {
  close_all(places);
  Envelope message(buffer.data(), buffer.size());
  const IoResult result = receive(socket, message);
  if (result.is_error()) return result.error();
  if (result.would_block()) return ReceivedDescriptors{};
  const std::size_t came = take_descriptors(message.header, places);
  std::error_code error;
  if ((message.header.msg_flags & MSG_CTRUNC) != 0) {
    error = Errc::control_truncated;
  } else if (came > places.size()) {
    error = Errc::surplus_descriptors;
  } else if ((message.header.msg_flags & MSG_TRUNC) != 0) {
    error = system_error(EMSGSIZE);
  }
  if (!error) return ReceivedDescriptors{result, came};
  close_all(places);
  return error;
}

}  // namespace reactor
