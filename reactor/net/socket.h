// SPDX-License-Identifier: MIT
// Socket wraps the system's socket calls as values and Results. The descriptors that it opens are
// non-blocking and close-on-exec. Only socket.{h,cc} call accept, recv and send. Nothing here
// blocks, logs or throws, except that listen() may wait.
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

// IoResult is the result of one read or write, in 8 bytes: a count of bytes, would-block, end of
// stream, or an errno. Would-block and end of stream are states, not errors.
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
  // Returns the bytes moved; 0 unless ok().
  [[nodiscard]] constexpr std::size_t count() const noexcept {
    return ok() ? static_cast<std::size_t>(value_) : 0;
  }
  // Returns whether exactly `wanted` bytes were moved.
  [[nodiscard]] constexpr bool moved(std::size_t wanted) const noexcept {
    return value_ == static_cast<std::int64_t>(wanted);
  }
  [[nodiscard]] constexpr bool would_block() const noexcept { return value_ == kBlocked; }
  [[nodiscard]] constexpr bool end() const noexcept { return value_ == kEnd; }
  [[nodiscard]] constexpr bool is_error() const noexcept { return value_ < 0 && value_ > kBlocked; }
  // Returns the error; none unless is_error().
  [[nodiscard]] std::error_code error() const noexcept {
    return is_error() ? system_error(static_cast<int>(-value_)) : std::error_code{};
  }

 private:
  explicit constexpr IoResult(std::int64_t value) noexcept : value_(value) {}
  static constexpr std::int64_t kBlocked = -0x10000;  // below every -errno
  static constexpr std::int64_t kEnd = -0x10001;
  std::int64_t value_;
};

// ListenOptions has the settings of a listening socket.
struct ListenOptions {
  int backlog = 2048;  // connections that wait for accept(2); clipped by net.core.somaxconn
  // Allows several sockets per address, over which the kernel spreads connections (SO_REUSEPORT;
  // SO_REUSEPORT_LB on FreeBSD).
  bool reuse_port = false;
  bool v6_only = false;  // false: a v6 wildcard takes v4 connections too (ipv6(7))
  // The longest time that the kernel holds a connection back while its first bytes have not arrived
  // (TCP_DEFER_ACCEPT, whole seconds; 0: off). Set it only if the client speaks first, as in HTTP.
  std::chrono::seconds defer_accept{0};
  // The most unsent bytes that the kernel buffers for each connection (TCP_NOTSENT_LOWAT). 0: as
  // many as its buffer holds, some megabytes. With a limit, we notice sooner that a peer does not
  // read.
  int unsent_limit = 0;
  // The permissions of a unix socket's file, 0..0777. The file has them before anybody can connect.
  // -1 leaves them to the umask.
  int unix_mode = -1;
  // Lets clients send bytes with their SYN. The number is the most such connections that may be in
  // the handshake at the same time; 0: none (TCP_FASTOPEN; net.ipv4.tcp_fastopen has to allow it).
  // Set it only if the protocol allows the same bytes to arrive twice. If the system refuses the
  // option, listen() or adopt_listening() fails with that error.
  int fast_open = 0;
  TcpOptions tcp = {};  // of the accepted connections; listen() reports errors of these options
};

// PeerCredentials names the process at the other end of a unix socket.
struct PeerCredentials {
  pid_t pid = 0;  // 0 if unknown: FreeBSD, or a process of another pid namespace
  uid_t uid = 0;  // the effective user and group
  gid_t gid = 0;
};

// ConnectOptions has the settings of a connection to make.
struct ConnectOptions {
  // The time after which a Connector gives up, counted from its construction. With kForever the
  // kernel decides when to give up: it tries a TCP address for minutes.
  Duration timeout = std::chrono::seconds(30);
  // The time that a Connector waits for one address before it also tries the next one. Less than 10
  // ms counts as 10 ms, to be fair to the network (RFC 8305 section 5).
  Duration attempt_delay = std::chrono::milliseconds(250);
  // The address to connect from; port 0: any port. Only peers of the same family can then be
  // reached. If the address is a unix path, its file is left behind.
  std::optional<Address> local;
  // TCP_NODELAY is on unless `tcp` says otherwise. If one of these options fails, so does the
  // attempt. With fast_open a Connector takes the first address that it tries, because connect()
  // then succeeds before the peer answers.
  TcpOptions tcp = {};
};

// Socket owns one socket, or none. It makes a descriptor from elsewhere (inetd, socketpair(2),
// another process) non-blocking, so the code that takes a Socket (a Stream, Listener, Server or
// Datagram) need not care where the descriptor came from.
class Socket {
 public:
  Socket() noexcept = default;
  // Sets O_NONBLOCK. The flag belongs to the open file, so other processes that share the file see
  // the change. If `fd` is not open, the first call that uses it reports bad_file_descriptor.
  explicit Socket(UniqueFd fd) noexcept;
  // Leaves the descriptor's flags alone. Use it for a descriptor that is already non-blocking, or
  // whose Transport never waits (open_shared_pipe()).
  [[nodiscard]] static Socket as_it_is(UniqueFd fd) noexcept {
    Socket socket;
    socket.fd_ = std::move(fd);
    return socket;
  }

  // Returns a bound, listening stream socket with SO_REUSEADDR and TCP_NODELAY (accepted sockets
  // inherit TCP_NODELAY on Linux and BSD). A unix path that a dead server left behind is replaced.
  // If a server still answers at the path, or the file is no socket, the error is address_in_use.
  // If several servers start on one path at the same moment, one gets it. May wait up to 0.25 s
  // while another server is starting there. Errors: those of socket(2), bind(2), listen(2) and of
  // the options. No file is left behind after an error.
  [[nodiscard]] static Result<Socket> listen(const Address& address, const ListenOptions& options);

  // Does what listen() does, for a TCP address, but without listening: the kernel gives the socket
  // no connection before start_listening(). Errors: those of socket(2) and bind(2).
  [[nodiscard]] static Result<Socket> reserve(const Address& address, const ListenOptions& options);
  // Makes a reserved socket listen. Errors: those of listen(2).
  [[nodiscard]] std::error_code start_listening(const ListenOptions& options) const;

  // Takes over a listening stream socket from a parent or a service manager, and makes it
  // non-blocking and close-on-exec. Ignores the `options` that can't be set this late: backlog,
  // reuse_port, v6_only and unix_mode. After an error the caller still owns `fd`. Errors:
  // bad_file_descriptor; Errc::not_listening if `fd` is not a listening stream socket; those of the
  // other options.
  [[nodiscard]] static Result<Socket> adopt_listening(int fd, const ListenOptions& options);

  // Returns a new socket of any kind, non-blocking and close-on-exec. Errors: those of socket(2).
  [[nodiscard]] static Result<Socket> open(int family, int type, int protocol = 0);

  // Starts a connect, which may still be in progress on return (connect(2) EINPROGRESS). When the
  // socket is ready for writing, finish_connect() returns the outcome. Uses `local` and `tcp` of
  // the options. Errors: those of socket(2), bind(2), connect(2); address_family_not_supported if
  // `local` is of another family; resource_unavailable_try_again if the backlog of a unix socket is
  // full.
  [[nodiscard]] static Result<Socket> connect(const Address& address,
                                              const ConnectOptions& options = {});
  // Returns the outcome of connect() to `address`. Errors: connection_already_in_progress if there
  // is no outcome yet; those of connect(2); connection_aborted (Linux) if the error was already
  // taken, by take_error(), or by libkqueue when it reported the descriptor.
  [[nodiscard]] static std::error_code finish_connect(int fd, const Address& address) noexcept;

  // Returns one accepted connection, non-blocking and close-on-exec; an empty Socket means
  // would-block. Errors: those of accept(2); see classify_accept_error().
  [[nodiscard]] static Result<Socket> accept(int listening_fd) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  [[nodiscard]] UniqueFd release() noexcept { return std::move(fd_); }

  [[nodiscard]] Result<Address> local() const { return local_address(fd()); }
  [[nodiscard]] Result<Address> peer() const { return peer_address(fd()); }

  // receive() and send() call recv(2) or send(2) once, without SIGPIPE. receive() returns end of
  // stream if `buffer` is empty.
  [[nodiscard]] static IoResult receive(int fd, std::span<std::byte> buffer) noexcept;
  [[nodiscard]] static IoResult send(int fd, std::span<const std::byte> bytes) noexcept;
  // Calls sendfile(2) once, for up to `count` bytes from `offset` of a regular file, without
  // SIGPIPE. End of stream means the end of the file. Errors: operation_not_supported if the system
  // has no such call; operation_not_supported or invalid_argument if the call can't serve these two
  // descriptors.
  [[nodiscard]] static IoResult send_file(int fd, int file, std::uint64_t offset,
                                          std::size_t count) noexcept;
  // Reads bytes into `buffer` that the next receive() returns again (recv(2) MSG_PEEK).
  [[nodiscard]] static IoResult peek(int fd, std::span<std::byte> buffer) noexcept;
  // Shuts down the writing side (shutdown(2)): the peer reads the bytes sent so far, then end of
  // stream. Returns false if the connection is gone, or `fd` is no socket.
  static bool shutdown_write(int fd) noexcept;
  // Makes a listening TCP socket drop the SYNs of new connections, so that its queue can be emptied
  // before the socket is closed. Handshakes that have begun are completed. All copies of the
  // socket, in all processes, drop SYNs until accept_new(). A client tries again after a second,
  // and then reaches the server that listens there by that time. Errors: not_supported if the
  // kernel has no such filter (socket(7) SO_ATTACH_FILTER).
  static Result<> refuse_new(int listening_fd) noexcept;
  static void accept_new(int listening_fd) noexcept;
  // Returns how long after refuse_new() a connection may still enter the queue: the time of
  // TCP_DEFER_ACCEPT plus the time of a handshake.
  [[nodiscard]] static std::chrono::milliseconds latest_arrival(int listening_fd) noexcept;
  // Returns whether the kernel spreads connections over several sockets like this one
  // (ListenOptions::reuse_port).
  [[nodiscard]] static bool is_balanced(int listening_fd) noexcept;
  // Returns how many connections wait to be accepted. Errors: not_supported; those of getsockopt(2)
  // (tcp(7) TCP_INFO of a listener).
  [[nodiscard]] static Result<std::size_t> queue_length(int listening_fd) noexcept;

  // Returns the socket's pending error (SO_ERROR) and clears it.
  [[nodiscard]] static std::error_code take_error(int fd) noexcept;
  // Makes close(2) abort the connection with a reset: SO_LINGER with zero.
  static void reset_on_close(int fd) noexcept;
  [[nodiscard]] static Result<Address> local_address(int fd);
  [[nodiscard]] static Result<Address> peer_address(int fd);
  // Returns the peer's process: the one that called connect(2) or listen(2), as it was at that
  // call. That process may have ended since, and its pid may now belong to another one. Errors:
  // Errc::not_supported for all but unix sockets; not_connected (unix(7) SO_PEERCRED,
  // getpeereid(3)).
  [[nodiscard]] static Result<PeerCredentials> peer_credentials(int fd);

 private:
#if defined(MSG_NOSIGNAL)
  static constexpr int kSendFlags = MSG_NOSIGNAL;
#else
  static constexpr int kSendFlags = 0;  // SO_NOSIGPIPE is set
#endif
  // Returns the result of a call that moved no byte.
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
  if (count == static_cast<ssize_t>(bytes.size())) [[likely]]  // most calls end here
    return IoResult::bytes(bytes.size());
  return count >= 0 ? IoResult::bytes(static_cast<std::size_t>(count)) : not_moved(errno);
}

// AcceptFailure tells what to do after a failed accept (accept(2), "Error handling").
enum class AcceptFailure : std::uint8_t {
  retry,  // that connection is gone (ECONNABORTED, network errors): accept the next one
  pause,  // no descriptor or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): connections stay queued
  fatal,  // the listener itself is broken (EBADF, EINVAL, ...)
};
[[nodiscard]] AcceptFailure classify_accept_error(std::error_code error) noexcept;

}  // namespace reactor
