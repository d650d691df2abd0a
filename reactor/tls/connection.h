// SPDX-License-Identifier: MIT
// Connection has the results of a Stream's TLS handshake.
#pragma once

#include <string_view>

struct ssl_st;

namespace reactor {
class Stream;
}

namespace reactor::tls {

// The results are known from on_open() on. A returned pointer or text is valid for the Stream's
// lifetime. Loop thread.
class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Returns null if the Stream has no TLS.
  [[nodiscard]] static const Connection* of(const Stream& stream) noexcept;

  [[nodiscard]] std::string_view version() const noexcept;  // "TLSv1.3"
  [[nodiscard]] std::string_view cipher() const noexcept;   // "TLS_AES_256_GCM_SHA384"
  // Returns the protocol chosen by ALPN; empty if none was.
  [[nodiscard]] std::string_view protocol() const noexcept;
  // Returns the server name that the client asked for (SNI); empty if none.
  [[nodiscard]] std::string_view server_name() const noexcept;
  // Returns whether the connection resumed the session of an earlier one.
  [[nodiscard]] bool resumed() const noexcept;

  // Returns the OpenSSL object, for questions that have no call here. It still belongs to the
  // Stream: do not read, write or end the connection through it.
  [[nodiscard]] ssl_st* native() const noexcept { return ssl_; }

 protected:
  explicit Connection(ssl_st* ssl) noexcept : ssl_(ssl) {}
  ~Connection() = default;

 private:
  ssl_st* ssl_;
};

}  // namespace reactor::tls
