// SPDX-License-Identifier: MIT
// Socket: the system's socket calls, non-blocking and close-on-exec, as values and Results. The
// only file pair that calls accept, recv and send. Nothing here blocks, logs or throws, listen()
// aside.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "reactor/base/clock.h"
#include "reactor/base/error.h"
#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/address.h"
#include "reactor/net/tcp_options.h"

namespace reactor {

// What one read or write did, in 8 bytes: octets, or would-block, or end of stream, or an errno.
// Would-block and end of stream are states, not errors.
class [[nodiscard]] IoResult {
 public:
  [[nodiscard]] static constexpr IoResult bytes(std::size_t count) noexcept {
    return IoResult(static_cast<std::int64_t>(count));
  }
  [[nodiscard]] static constexpr IoResult blocked() noexcept { return IoResult(kBlocked); }
  [[nodiscard]] static constexpr IoResult end_of_stream() noexcept { return IoResult(kEnd); }
  [[nodiscard]] static constexpr IoResult failed(int number) noexcept {
    return IoResult(-static_cast<std::int64_t>(number));
  }

  [[nodiscard]] constexpr bool ok() const noexcept { return value_ >= 0; }
  // Octets moved; 0 unless ok().
  [[nodiscard]] constexpr std::size_t count() const noexcept {
    return ok() ? static_cast<std::size_t>(value_) : 0;
  }
  // Whether all of `wanted` octets were moved.
  [[nodiscard]] constexpr bool moved(std::size_t wanted) const noexcept {
    return value_ == static_cast<std::int64_t>(wanted);
  }
  [[nodiscard]] constexpr bool would_block() const noexcept { return value_ == kBlocked; }
  [[nodiscard]] constexpr bool end() const noexcept { return value_ == kEnd; }
  [[nodiscard]] constexpr bool is_error() const noexcept { return value_ < 0 && value_ > kBlocked; }
  // 0 unless is_error().
  [[nodiscard]] std::error_code error() const noexcept {
    return is_error() ? system_error(static_cast<int>(-value_)) : std::error_code{};
  }

 private:
  explicit constexpr IoResult(std::int64_t value) noexcept : value_(value) {}
  static constexpr std::int64_t kBlocked = -0x10000;  // below every -errno
  static constexpr std::int64_t kEnd = -0x10001;
  std::int64_t value_;
};

// How a listening socket is set up.
struct ListenOptions {
  int backlog = 2048;       // connections that wait to be accepted; clipped by net.core.somaxconn
  bool reuse_port = false;  // several sockets per address, the kernel spreads connections over
                            // them: SO_REUSEPORT, SO_REUSEPORT_LB on FreeBSD
  bool v6_only = false;     // off: a v6 wildcard takes v4 connections too (ipv6(7))
  // The client speaks first: the connection is handed over with its first octets, or after this
  // long (TCP_DEFER_ACCEPT, whole seconds; 0 is off). For HTTP, not for echo.
  std::chrono::seconds defer_accept{0};
  // Octets that the kernel takes from us before it can send them (TCP_NOTSENT_LOWAT; 0: as many as
  // its buffer holds, some megabytes). A peer that does not read is noticed that much earlier.
  int unsent_limit = 0;
  // Permissions of a unix socket's file, 0..0777, which it has before anybody can connect; -1
  // leaves them to the umask.
  int unix_mode = -1;
  // Connections that may hand over octets with their SYN before the handshake is over; 0: none
  // (TCP_FASTOPEN; net.ipv4.tcp_fastopen has to allow it). For protocols that survive a repetition.
  int fast_open = 0;
  TcpOptions tcp = {};  // of the accepted connections; errors of these and fast_open are listen's
};

// Who is at the other end of a unix socket.
struct PeerCredentials {
  pid_t pid = 0;  // 0 where it can't be told: FreeBSD, or a process of another pid namespace
  uid_t uid = 0;  // the effective ones
  gid_t gid = 0;
};

// How a connection is made.
struct ConnectOptions {
  // Of a Connector: until it gives up, counted from its making. kForever leaves it to the kernel,
  // which tries a TCP address for minutes.
  Duration timeout = std::chrono::seconds(30);
  // Of a Connector: until the next address is tried beside one that does not answer. Less than 10
  // ms counts as 10, to be fair to the network (RFC 8305 section 5).
  Duration attempt_delay = std::chrono::milliseconds(250);
  // Connects from here; port 0 is any. An address of another family can't be reached then. A unix
  // path stays in the file system.
  std::optional<Address> local;
  // TCP_NODELAY is on unless it says otherwise; errors of these are those of the attempt. With
  // fast_open a Connector takes the first address that is tried, as nobody is asked yet.
  TcpOptions tcp = {};
};

// Owns one socket, or none. It never blocks: whoever makes a Socket of a descriptor from elsewhere
// (inetd, socketpair(2), another process) makes it non-blocking by that, so what takes a Socket (a
// Stream, Listener, Server or Datagram) need not care where it comes from.
class Socket {
 public:
  Socket() noexcept = default;
  // Sets O_NONBLOCK, which belongs to the open file: other processes that share it see it too. An
  // fd that is no descriptor is told by the first call that uses it (bad_file_descriptor).
  explicit Socket(UniqueFd fd) noexcept;
  // Leaves the flags alone: for a descriptor that is non-blocking already, and for one whose
  // Transport never waits, as that of open_shared_pipe().
  [[nodiscard]] static Socket as_it_is(UniqueFd fd) noexcept {
    Socket socket;
    socket.fd_ = std::move(fd);
    return socket;
  }

  // A bound, listening stream socket: SO_REUSEADDR and TCP_NODELAY are set (accepted sockets
  // inherit the latter on Linux and BSD). A unix path that a dead server left behind is replaced;
  // one on which a server still answers is address_in_use, and so is a path that is no socket. Of
  // several servers that start on one path at the same moment one gets it. May wait for that: up
  // to 0.25 s while another one is about to begin.
  // Errors: those of socket(2), bind(2), listen(2); no file is left behind then.
  [[nodiscard]] static Result<Socket> listen(const Address& address, const ListenOptions& options);

  // The same for a TCP address, but it does not listen before start_listening(): the kernel gives
  // no connection to it. Errors: those of socket(2) and bind(2).
  [[nodiscard]] static Result<Socket> reserve(const Address& address, const ListenOptions& options);
  // Errors: those of listen(2).
  [[nodiscard]] std::error_code start_listening(const ListenOptions& options) const;

  // Takes over a stream socket that listens already, made by a parent or a service manager: it
  // becomes non-blocking and close-on-exec, and `options` apply as far as they can be set late: not
  // the backlog, reuse_port, v6_only and unix_mode. Where it fails the caller still owns `fd`.
  // Errors: bad_file_descriptor; Errc::not_listening where it is anything else.
  [[nodiscard]] static Result<Socket> adopt_listening(int fd, const ListenOptions& options);

  // Any socket(2), non-blocking and close-on-exec. Errors: those of socket(2).
  [[nodiscard]] static Result<Socket> open(int family, int type, int protocol = 0);

  // A non-blocking connect that may still be under way: ready for writing when it is done; then
  // finish_connect() tells how it went (connect(2) EINPROGRESS). Uses `local` and `tcp`.
  // Errors: those of socket(2), bind(2), connect(2); address_family_not_supported where `local` is
  // of another family; resource_unavailable_try_again where the backlog of a unix socket is full.
  [[nodiscard]] static Result<Socket> connect(const Address& address,
                                              const ConnectOptions& options = {});
  // How connect() to `address` went. Errors: connection_already_in_progress if that is not decided
  // yet; those of connect(2); connection_aborted (Linux) if somebody took the error (take_error())
  // before, as libkqueue does when it reports the descriptor.
  [[nodiscard]] static std::error_code finish_connect(int fd, const Address& address) noexcept;

  // One accepted connection, non-blocking and close-on-exec; would-block is an empty Socket.
  // Errors: those of accept(2); see is_transient_accept_error().
  [[nodiscard]] static Result<Socket> accept(int listening_fd) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  [[nodiscard]] UniqueFd release() noexcept { return std::move(fd_); }

  [[nodiscard]] Result<Address> local() const { return local_address(fd()); }
  [[nodiscard]] Result<Address> peer() const { return peer_address(fd()); }

  // One recv(2) / send(2), never SIGPIPE. An empty buffer reads as the end of the stream.
  [[nodiscard]] static IoResult receive(int fd, std::span<std::byte> buffer) noexcept;
  [[nodiscard]] static IoResult send(int fd, std::span<const std::byte> bytes) noexcept;
  // One sendfile(2) of up to `count` octets from `offset` of a regular file, never SIGPIPE; the end
  // of stream is the file's. Errors: operation_not_supported where the system has none; that and
  // invalid_argument where these two descriptors can't do it.
  [[nodiscard]] static IoResult send_file(int fd, int file, std::uint64_t offset,
                                          std::size_t count) noexcept;
  // As receive(), but what it gives stays there to be received again (recv(2) MSG_PEEK).
  [[nodiscard]] static IoResult peek(int fd, std::span<std::byte> buffer) noexcept;
  // shutdown(2) of the writing side; the peer reads the rest and then the end. False where there is
  // no such thing: it is gone, or this is no socket.
  static bool shutdown_write(int fd) noexcept;
  // For a listening TCP socket that is to be closed: SYNs of new connections are dropped, so that
  // the queue can be emptied to the last; handshakes that have begun go on. For all copies of the
  // socket, in all processes, until accept_new(). A client tries again after a second, and finds
  // whoever listens there by then. Errors: not_supported where the kernel has no such filter
  // (socket(7) SO_ATTACH_FILTER).
  static Result<> refuse_new(int listening_fd) noexcept;
  static void accept_new(int listening_fd) noexcept;
  // How long after refuse_new() a connection may still come into the queue: that of
  // TCP_DEFER_ACCEPT or of a handshake.
  [[nodiscard]] static std::chrono::milliseconds latest_arrival(int listening_fd) noexcept;
  // Whether the kernel spreads connections over several sockets like this one; see
  // ListenOptions::reuse_port.
  [[nodiscard]] static bool is_balanced(int listening_fd) noexcept;
  // Connections that wait to be accepted. Errors: not_supported (tcp(7) TCP_INFO of a listener).
  [[nodiscard]] static Result<std::size_t> queue_length(int listening_fd) noexcept;

  // SO_ERROR, and clears it.
  [[nodiscard]] static std::error_code take_error(int fd) noexcept;
  // Makes the coming close() abort the connection (RST): SO_LINGER with zero.
  static void reset_on_close(int fd) noexcept;
  [[nodiscard]] static Result<Address> local_address(int fd);
  [[nodiscard]] static Result<Address> peer_address(int fd);
  // Who connected, or who listened, at the time of connect(2) or listen(2): whatever became of that
  // process, and its pid, since. Errors: Errc::not_supported for all but unix sockets;
  // not_connected (unix(7) SO_PEERCRED, getpeereid(3)).
  [[nodiscard]] static Result<PeerCredentials> peer_credentials(int fd);

 private:
#if defined(MSG_NOSIGNAL)
  static constexpr int kSendFlags = MSG_NOSIGNAL;
#else
  static constexpr int kSendFlags = 0;  // SO_NOSIGPIPE is set
#endif
  // The result of a call that moved no byte.
  [[nodiscard]] static IoResult not_moved(int number) noexcept;

  UniqueFd fd_;
};

inline IoResult Socket::receive(int fd, std::span<std::byte> buffer) noexcept {
  const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (count > 0) [[likely]]
    return IoResult::bytes(static_cast<std::size_t>(count));
  return count == 0 ? IoResult::end_of_stream() : not_moved(errno);
}

inline IoResult Socket::send(int fd, std::span<const std::byte> bytes) noexcept {
  const ssize_t count = ::send(fd, bytes.data(), bytes.size(), kSendFlags);
  if (count == static_cast<ssize_t>(bytes.size())) [[likely]]  // the one comparison of most calls
    return IoResult::bytes(bytes.size());
  return count >= 0 ? IoResult::bytes(static_cast<std::size_t>(count)) : not_moved(errno);
}

// What a failed accept means (accept(2), "Error handling").
enum class AcceptFailure : std::uint8_t {
  retry,  // that connection is gone (ECONNABORTED, network errors): take the next one
  pause,  // no descriptor or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): the queue keeps them
  fatal,  // the listener itself is broken (EBADF, EINVAL, ...)
};
[[nodiscard]] AcceptFailure classify_accept_error(std::error_code error) noexcept;

}  // namespace reactor
