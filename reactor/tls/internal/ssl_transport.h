// SPDX-License-Identifier: MIT
// SslTransport runs the bytes of a Stream through OpenSSL. OpenSSL reaches the socket through a BIO
// of this library, because OpenSSL's BIO does not pass MSG_NOSIGNAL, and would raise SIGPIPE if the
// peer is gone.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/net/transport.h"
#include "reactor/tls/connection.h"
#include "reactor/tls/internal/openssl.h"

namespace reactor::tls {

class SslTransport final : public Transport, public Connection {
 public:
  // `ssl` is already set to the client's or server's side. In a client, `service` is the host and
  // port under which the session is stored.
  SslTransport(SslPtr ssl, Duration open_limit, std::string service = {});

  [[nodiscard]] const std::string& service() const noexcept { return service_; }

  IoResult open(int fd) override;
  [[nodiscard]] bool open_is_costly() const noexcept override { return true; }
  [[nodiscard]] Duration open_limit() const noexcept override { return open_limit_; }
  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  IoResult end_writing(int fd) noexcept override;
  [[nodiscard]] Interest read_needs() const noexcept override { return read_needs_; }
  [[nodiscard]] Interest write_needs() const noexcept override;
  [[nodiscard]] bool has_input() const noexcept override { return has_input_; }
  [[nodiscard]] std::error_code error(IoResult failed) const noexcept override;

  [[nodiscard]] static SslTransport& of(SSL* ssl) noexcept {
    return *static_cast<SslTransport*>(SSL_get_app_data(ssl));
  }
  // Runs code that may throw inside a callback of OpenSSL during the handshake. No exception may
  // pass through OpenSSL: it is stored, and open() throws it again. Returns false if there was one.
  template <class Call>
  [[nodiscard]] static bool guard(SSL* ssl, Call&& call) noexcept {
    try {
      call();
      return true;
    } catch (...) {
      of(ssl).thrown_ = std::current_exception();
      return false;
    }
  }

 private:
  friend struct SocketBio;

  void begin(int fd) noexcept;
  IoResult receive(std::span<std::byte> buffer) noexcept;
  bool send(std::string_view record) noexcept;
  IoResult flush();
  IoResult outcome(int returned);

  SslPtr ssl_;
  Duration open_limit_;
  std::string service_;
  std::string unsent_;        // the part of a record that the kernel did not take
  bool first_is_in_ = false;  // the next write()'s first byte was already written
  int fd_ = -1;
  std::size_t allowance_ = 0;  // bytes that this call may still take from the socket
  std::size_t given_ = 0;      // bytes that the last read() returned
  Interest read_needs_ = Interest::read;
  bool has_input_ = false;
  bool socket_ended_ = false;
  std::error_code socket_error_;
  std::error_code error_;          // of the last failed call
  std::optional<IoResult> later_;  // the result to return after the bytes of an earlier read
  std::exception_ptr thrown_;      // by a callback
};

}  // namespace reactor::tls
