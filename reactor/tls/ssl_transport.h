// SPDX-License-Identifier: MIT
// SslTransport: the octets of a Stream through OpenSSL, which reaches the socket by a BIO of ours:
// that of the library writes without MSG_NOSIGNAL, and a peer that is gone would be a SIGPIPE.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/net/transport.h"
#include "reactor/tls/connection.h"
#include "reactor/tls/openssl.h"

namespace reactor::tls {

class SslTransport final : public Transport, public Connection {
 public:
  // `ssl` knows which side it is; a client's has a service, whose session it is.
  SslTransport(SslPtr ssl, Duration open_limit, std::string service = {});

  [[nodiscard]] const std::string& service() const noexcept { return service_; }

  IoResult open(int fd) override;
  [[nodiscard]] bool open_is_costly() const noexcept override { return true; }
  [[nodiscard]] Duration open_limit() const noexcept override { return open_limit_; }
  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  IoResult end_writing(int fd) override;
  [[nodiscard]] Interest read_needs() const noexcept override { return read_needs_; }
  [[nodiscard]] Interest write_needs() const noexcept override;
  [[nodiscard]] bool has_input() const noexcept override { return has_input_; }
  [[nodiscard]] std::error_code error(IoResult failed) const noexcept override;

  // Runs what may throw inside of a callback of OpenSSL's, through which no exception may pass: it
  // leaves the call of the Transport. False: there was one.
  template <class Call>
  [[nodiscard]] static bool guard(SSL* ssl, Call&& call) noexcept {
    SslTransport& self = *static_cast<SslTransport*>(SSL_get_app_data(ssl));
    try {
      call(self);
      return true;
    } catch (...) {
      self.thrown_ = std::current_exception();
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
  void rethrow();

  SslPtr ssl_;
  Duration open_limit_;
  std::string service_;
  std::string unsent_;        // what the kernel did not take of a record
  bool first_is_in_ = false;  // the first octet that write() will get is in there already
  int fd_ = -1;
  std::size_t allowance_ = 0;  // octets that the call may still take from the socket
  std::size_t given_ = 0;      // by the last read()
  Interest read_needs_ = Interest::read;
  bool has_input_ = false;
  bool socket_ended_ = false;
  std::error_code socket_error_;
  std::error_code error_;          // of the last call that failed
  std::optional<IoResult> later_;  // what comes after the octets that a read gave
  std::exception_ptr thrown_;      // by a callback
};

}  // namespace reactor::tls
