// SPDX-License-Identifier: MIT
#include "reactor/net/socket.h"

#include <fcntl.h>
#if defined(__linux__)
#include <linux/filter.h>
#include <sys/sendfile.h>
#endif
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "reactor/base/internal/sigpipe.h"
#include "reactor/net/internal/socket_options.h"
#include "reactor/net/internal/unix_path.h"
#include "reactor/net/socket_file.h"

namespace reactor {
namespace {

#if defined(__linux__)
constexpr int kSocketFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
#else
constexpr int kSocketFlags = 0;
#endif

// Does on other systems what kSocketFlags does on Linux. Also sets SO_NOSIGPIPE on systems that
// have it instead of MSG_NOSIGNAL.
bool finish_socket([[maybe_unused]] int fd) noexcept {
#if defined(__linux__)
  return true;
#else
  const bool cloexec = ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
  const bool nonblocking = ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
#if defined(SO_NOSIGPIPE)
  set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  return cloexec && nonblocking;
#endif
}

Result<UniqueFd> open_socket(int family, int type = SOCK_STREAM, int protocol = 0) {
  UniqueFd fd(::socket(family, type | kSocketFlags, protocol));
  if (!fd || !finish_socket(fd.get())) return last_system_error();
  return fd;
}

void set_defer_accept([[maybe_unused]] int fd,
                      [[maybe_unused]] std::chrono::seconds time) noexcept {
#if defined(TCP_DEFER_ACCEPT)
  if (time.count() > 0) {
    set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, static_cast<int>(time.count()));
  }
#endif
}

void set_unsent_limit([[maybe_unused]] int fd, [[maybe_unused]] int bytes) noexcept {
#if defined(TCP_NOTSENT_LOWAT)
  if (bytes > 0) set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
#endif
}

// Sets the options that an accepted connection inherits from its listener.
Result<> set_tcp_options(int fd, const ListenOptions& options) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_defer_accept(fd, options.defer_accept);
  set_unsent_limit(fd, options.unsent_limit);
  return options.tcp.apply(fd);
}

// Call it after listen(2): macOS refuses the option before.
Result<> set_fast_open([[maybe_unused]] int fd, int queue) noexcept {
  if (queue == 0) return {};
#if defined(TCP_FASTOPEN)
  if (set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, queue)) return {};
  return last_system_error();
#else
  return Errc::not_supported;
#endif
}

bool is_listening(int fd) noexcept {
  int type = 0;
  int accepts = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return false;
  length = sizeof(accepts);
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) != 0) return false;
  return type == SOCK_STREAM && accepts != 0;
}

std::error_code bind_to(int fd, const Address& address, const ListenOptions& options) {
  if (address.is_unix()) return bind_unix(fd, address, options.unix_mode);
  return ::bind(fd, address.data(), address.size()) == 0 ? std::error_code{} : last_system_error();
}

// Binds a client's socket. If no port is given, connect() chooses one later, and may choose a port
// from which connections to other peers exist. If a port is given, SO_REUSEADDR is set, because an
// earlier connection from that port may still be in TIME_WAIT (ip(7), socket(7)).
std::error_code bind_client(int fd, const Address& local) {
  if (local.port() != 0) set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
#if defined(IP_BIND_ADDRESS_NO_PORT)
  if (!local.is_unix()) set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
#endif
  return ::bind(fd, local.data(), local.size()) == 0 ? std::error_code{} : last_system_error();
}

template <class Call>
Result<Address> name_of(Call call) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (call(reinterpret_cast<sockaddr*>(&storage), &length) != 0) return last_system_error();
#if !defined(__linux__)
  // The BSDs pad a missing name with zeros, which would look like an abstract name.
  constexpr socklen_t kNoName = offsetof(sockaddr_un, sun_path);
  const auto& local = reinterpret_cast<const sockaddr_un&>(storage);
  if (storage.ss_family == AF_UNIX && local.sun_path[0] == '\0') length = kNoName;
#endif
  return Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

Socket::Socket(UniqueFd fd) noexcept : fd_(std::move(fd)) {
  const int flags = fd_ ? ::fcntl(fd_.get(), F_GETFL) : -1;
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
}

Result<Socket> Socket::listen(const Address& address, const ListenOptions& options) {
  const SocketFolderLock lock(address);
  Result<Socket> socket = reserve(address, options);
  if (!socket) return socket;
  SocketFile file(address);
  if (const std::error_code error = socket->start_listening(options)) return error;
  file.release();  // the caller owns it from here on
  return socket;
}

Result<Socket> Socket::reserve(const Address& address, const ListenOptions& options) {
  Result<UniqueFd> fd = open_socket(address.family());
  if (!fd) return fd.error();
  const int number = fd->get();
  if (!address.is_unix()) {
    set_option(number, SOL_SOCKET, SO_REUSEADDR, 1);
    if (const Result<> set = set_tcp_options(number, options); !set) return set.error();
    if (options.reuse_port && !set_option(number, SOL_SOCKET, kReusePort, 1))
      return last_system_error();
  }
  if (address.family() == AF_INET6) {
    set_option(number, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0);
  }
  if (const std::error_code error = bind_to(number, address, options)) return error;
  return as_it_is(std::move(*fd));
}

std::error_code Socket::start_listening(const ListenOptions& options) const {
  const Result<Address> address = local();
  if (!address) return address.error();
  if (::listen(fd(), options.backlog) != 0) return last_system_error();
  if (address->is_unix()) return {};
  const Result<> set = set_fast_open(fd(), options.fast_open);
  return set ? std::error_code{} : set.error();
}

Result<Socket> Socket::adopt_listening(int fd, const ListenOptions& options) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return last_system_error();
  if (!is_listening(fd)) return Errc::not_listening;
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return last_system_error();
  }
  const Result<Address> address = local_address(fd);
  if (!address) return address.error();
  if (!address->is_unix()) {
    if (const Result<> set = set_tcp_options(fd, options); !set) return set.error();
    if (const Result<> set = set_fast_open(fd, options.fast_open); !set) return set.error();
  }
  return as_it_is(UniqueFd(fd));
}

Result<Socket> Socket::open(int family, int type, int protocol) {
  Result<UniqueFd> fd = open_socket(family, type, protocol);
  if (!fd) return fd.error();
  return as_it_is(std::move(*fd));
}

Result<Socket> Socket::connect(const Address& address, const ConnectOptions& options) {
  Result<UniqueFd> fd = open_socket(address.family());
  if (!fd) return fd.error();
  if (!address.is_unix()) {
    set_option(fd->get(), IPPROTO_TCP, TCP_NODELAY, 1);
    if (const Result<> set = options.tcp.apply(fd->get()); !set) return set.error();
  }
  if (options.local) {
    if (options.local->family() != address.family()) return system_error(EAFNOSUPPORT);
    if (const std::error_code error = bind_client(fd->get(), *options.local)) return error;
  }
  // After EINTR the kernel continues the connect, as after EINPROGRESS (connect(2)).
  if (::connect(fd->get(), address.data(), address.size()) != 0 && errno != EINPROGRESS &&
      errno != EINTR) {
    return last_system_error();
  }
  return as_it_is(std::move(*fd));
}

// Calls connect(2) again, because SO_ERROR can't tell success from an error that was already taken:
// it is 0 in both cases. On Linux, this call returns the error of the first connect(2) and clears
// it. On other systems SO_ERROR still has that error.
std::error_code Socket::finish_connect(int fd, const Address& address) noexcept {
  if (address.is_unix()) return take_error(fd);  // done at once; a second connect may give EAGAIN
  if (::connect(fd, address.data(), address.size()) == 0 || errno == EISCONN) return {};
  const std::error_code error = last_system_error();
  if (error == std::errc::connection_already_in_progress) return error;
  const std::error_code first = take_error(fd);
  return first ? first : error;
}

Result<Socket> Socket::accept(int listening_fd) noexcept {
#if defined(__linux__)
  const int fd = ::accept4(listening_fd, nullptr, nullptr, kSocketFlags);
#else
  const int fd = ::accept(listening_fd, nullptr, nullptr);
#endif
  if (fd < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Socket();
    return last_system_error();
  }
  UniqueFd connection(fd);
  if (!finish_socket(fd)) return last_system_error();
  return as_it_is(std::move(connection));
}

// EINTR should not occur, because the call does not block (recv(2)). If it does, the poller reports
// the socket again.
IoResult Socket::not_moved(int number) noexcept {
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return IoResult::blocked();
  return IoResult::failed(number);
}

IoResult Socket::peek(int fd, std::span<std::byte> buffer) noexcept {
  const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_PEEK);
  if (count > 0) return IoResult::bytes(static_cast<std::size_t>(count));
  return count == 0 ? IoResult::end_of_stream() : not_moved(errno);
}

bool Socket::is_balanced(int listening_fd) noexcept {
  return option_of(listening_fd, SOL_SOCKET, kReusePort) != 0;
}

bool Socket::shutdown_write(int fd) noexcept { return ::shutdown(fd, SHUT_WR) == 0; }

#if defined(__linux__)

IoResult Socket::send_file(int fd, int file, std::uint64_t offset, std::size_t count) noexcept {
  if (offset > std::uint64_t{INT64_MAX}) return IoResult::failed(EINVAL);
  off_t place = static_cast<off_t>(offset);
  SigpipeBlock block;
  const ssize_t sent = ::sendfile(fd, file, &place, count);
  block.take_back(sent, count);
  if (sent > 0) return IoResult::bytes(static_cast<std::size_t>(sent));
  if (sent == 0) return IoResult::end_of_stream();
  const int number = errno;
  return not_moved(number == ENOSYS ? EOPNOTSUPP : number);
}

Result<> Socket::refuse_new(int listening_fd) noexcept {
  // The filter sees the TCP header. Byte 13 has the flags; SYN without ACK opens a connection.
  constexpr std::uint32_t kFlags = 13, kSynAck = 0x12, kSyn = 0x02, kWhole = 0xffffffff;
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
                        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynAck),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, kWhole)};
  const sock_fprog program{sizeof(code) / sizeof(code[0]), code};
  if (set_option(listening_fd, SOL_SOCKET, SO_ATTACH_FILTER, program)) return {};
  return last_system_error();
}

void Socket::accept_new(int listening_fd) noexcept {
  set_option(listening_fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

// With TCP_DEFER_ACCEPT, the kernel holds back the connection of a client that sends nothing for
// `seconds`, and then queues it all the same.
std::chrono::milliseconds Socket::latest_arrival(int listening_fd) noexcept {
  int seconds = 0;
  socklen_t length = sizeof(seconds);
  ::getsockopt(listening_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &length);
  constexpr std::chrono::milliseconds kHandshake{250};  // the handshake's last step, a round trip
  return std::chrono::seconds(seconds) + kHandshake;
}

Result<std::size_t> Socket::queue_length(int listening_fd) noexcept {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (::getsockopt(listening_fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
    return last_system_error();
  }
  return std::size_t{info.tcpi_unacked};  // for a listener this is the queue's length
}

#else

IoResult Socket::send_file(int, int, std::uint64_t, std::size_t) noexcept {
  return IoResult::failed(EOPNOTSUPP);
}
Result<> Socket::refuse_new(int) noexcept { return Errc::not_supported; }
void Socket::accept_new(int) noexcept {}
std::chrono::milliseconds Socket::latest_arrival(int) noexcept {
  return std::chrono::milliseconds(0);
}
Result<std::size_t> Socket::queue_length(int) noexcept { return Errc::not_supported; }

#endif

std::error_code Socket::take_error(int fd) noexcept {
  int number = 0;
  socklen_t length = sizeof(number);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) != 0) return last_system_error();
  return number == 0 ? std::error_code{} : system_error(number);
}

void Socket::reset_on_close(int fd) noexcept {
  set_option(fd, SOL_SOCKET, SO_LINGER, linger{1, 0});
}

Result<Address> Socket::local_address(int fd) {
  return name_of(
      [fd](sockaddr* name, socklen_t* length) { return ::getsockname(fd, name, length); });
}

Result<Address> Socket::peer_address(int fd) {
  return name_of(
      [fd](sockaddr* name, socklen_t* length) { return ::getpeername(fd, name, length); });
}

AcceptFailure classify_accept_error(std::error_code error) noexcept {
  switch (error.value()) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return AcceptFailure::pause;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EFAULT:
      return AcceptFailure::fatal;
    default:  // this connection, or its network, is gone; another connection may wait
      return AcceptFailure::retry;
  }
}

}  // namespace reactor
