// SPDX-License-Identifier: MIT
// Request: the head of one request as views into the octets it was parsed from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "reactor/http/method.h"

namespace reactor::http {

// One field line. The name is as received (any case), the value without the blanks around it.
struct Field {
  std::string_view name;
  std::string_view value;
};

// The four forms of a request target (RFC 9112 section 3.2).
enum class TargetForm : std::uint8_t {
  origin,     // /path?query
  absolute,   // http://host/path?query
  authority,  // host:port, only with CONNECT
  asterisk,   // *, only with OPTIONS
};

// What RequestParser found. All views point into the parser's input and `fields` into the parser:
// they last until either changes, so a handler that answers later copies what it still needs.
struct Request {
  std::string_view method_token;  // as received; never empty
  std::string_view target;        // as received, of the characters of RFC 3986; never empty
  std::string_view host;     // of an absolute target, else of Host, else ""; with its port, if any
  std::string_view upgrade;  // the value of Upgrade where Connection names it (1.1 only), else ""
  std::string_view body;     // not the parser's: "" after parse(); a server sets it
  std::span<const Field> fields;     // all of them in the order received
  std::uint64_t content_length = 0;  // 0 also where none was given or the body is chunked
  Method method = Method::other;
  TargetForm form = TargetForm::origin;
  std::uint8_t minor_version = 1;  // as received: 1 for HTTP/1.1
  bool chunked = false;            // the body comes in chunks: see ChunkedDecoder
  bool has_content_length = false;
  // The peer lets the connection go on (RFC 9112 section 9.3). Never with CONNECT: what follows is
  // the tunnel's, or nobody's. Nor, with a server, with an Upgrade that bytes follow already: they
  // may be of the other protocol. So it goes on after such a request by Response::upgrade() only.
  bool keep_alive = false;
  bool expect_continue =
      false;  // waits for 100 (Continue); never with HTTP/1.0 (RFC 9110 section 10.1.1)

  // Whether octets of content follow the head.
  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length != 0; }

  // The value of the first field of that name, in any case; nothing if there is none. Linear.
  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const noexcept;

  // The target's path, undecoded: "/" for an absolute target without one; the whole target in the
  // authority and asterisk forms.
  [[nodiscard]] std::string_view path() const noexcept;

  // What follows the first '?' of the target, undecoded; "" if there is none.
  [[nodiscard]] std::string_view query() const noexcept;
};

}  // namespace reactor::http
