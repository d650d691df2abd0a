// SPDX-License-Identifier: MIT
// Request is the head of one request, as views into the bytes from which it was parsed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "reactor/http/method.h"

namespace reactor::http {

// Field is one field line. The name is as received, in upper or lower case. The value has no blanks
// around it.
struct Field {
  std::string_view name;
  std::string_view value;
};

// TargetForm has the four forms of a request target (RFC 9112 section 3.2).
enum class TargetForm : std::uint8_t {
  origin,     // /path?query
  absolute,   // http://host/path?query
  authority,  // host:port, only with CONNECT
  asterisk,   // *, only with OPTIONS
};

// Request is the result of RequestParser. All views point into the parser's input, and `fields`
// points into the parser. The views are valid until the input or the parser changes, so a handler
// that answers later must copy whatever it still needs.
struct Request {
  std::string_view method_token;  // as received; never empty
  std::string_view target;        // as received, with characters of RFC 3986 only; never empty
  // The host of an absolute target, or else of the Host field, with its port if it has one. "" if
  // there is neither.
  std::string_view host;
  std::string_view upgrade;       // the value of Upgrade if Connection names it (1.1 only), else ""
  std::string_view body;          // "" after parse(); a server sets it
  std::span<const Field> fields;  // all field lines in the order received
  std::uint64_t content_length = 0;  // also 0 if there is none or the body is chunked
  Method method = Method::other;
  TargetForm form = TargetForm::origin;
  std::uint8_t minor_version = 1;  // as received: 1 for HTTP/1.1
  bool chunked = false;            // the body is chunked: see ChunkedDecoder
  bool has_content_length = false;
  // The peer allows another request on this connection (RFC 9112 section 9.3). Always false with
  // CONNECT, because the bytes that follow belong to a tunnel. A server also sets this to false if
  // bytes already follow a request with Upgrade, because they may belong to the other protocol.
  // Only Response::upgrade() then keeps the connection open.
  bool keep_alive = false;
  // The client waits for 100 (Continue). Always false with HTTP/1.0 (RFC 9110 section 10.1.1).
  bool expect_continue = false;

  // Returns whether the head is followed by content.
  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length != 0; }

  // Returns the value of the first field with this name (in upper or lower case), or nothing if
  // there is none. The time is linear in the number of fields.
  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const noexcept;

  // Returns the target's path, undecoded. It is "/" for an absolute target without a path, and the
  // whole target in the authority and asterisk forms.
  [[nodiscard]] std::string_view path() const noexcept;

  // Returns the part of the target after its first '?', undecoded, or "" if it has none.
  [[nodiscard]] std::string_view query() const noexcept;
};

}  // namespace reactor::http
