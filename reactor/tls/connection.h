// SPDX-License-Identifier: MIT
// Connection: what the TLS of a Stream agreed on.
#pragma once

#include <string_view>

struct ssl_st;

namespace reactor {
class Stream;
}

namespace reactor::tls {

// Known from on_open() on, for as long as the Stream lives; so are the texts. Loop thread.
class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Null where the Stream has no TLS.
  [[nodiscard]] static const Connection* of(const Stream& stream) noexcept;

  [[nodiscard]] std::string_view version() const noexcept;  // "TLSv1.3"
  [[nodiscard]] std::string_view cipher() const noexcept;   // "TLS_AES_256_GCM_SHA384"
  // By ALPN; empty: none was agreed on.
  [[nodiscard]] std::string_view protocol() const noexcept;
  // That the client asked for (SNI); empty: none.
  [[nodiscard]] std::string_view server_name() const noexcept;
  // Whether a session of an earlier connection went on.
  [[nodiscard]] bool resumed() const noexcept;

  // OpenSSL's own, for questions that have no call here. It stays the Stream's: nothing may be
  // read, written or ended by it.
  [[nodiscard]] ssl_st* native() const noexcept { return ssl_; }

 protected:
  explicit Connection(ssl_st* ssl) noexcept : ssl_(ssl) {}
  ~Connection() = default;

 private:
  ssl_st* ssl_;
};

}  // namespace reactor::tls
