// SPDX-License-Identifier: MIT
// ResponseHead has the content of a response's head, and the values that decide how it is written.
// Private to http/. The functions of response_writer.h write the head.
#pragma once

#include <cstdint>
#include <string_view>

#include "reactor/http/request.h"
#include "reactor/http/response.h"

namespace reactor::http {

// Framing tells how the client finds the end of the content (RFC 9112 section 6.3).
enum class Framing : std::uint8_t {
  none,         // there is no content: 1xx, 204, 304, 2xx to CONNECT
  length,       // Content-Length
  chunked,      // Transfer-Encoding
  until_close,  // the content ends with the connection: HTTP/1.0 without a length
};

// ResponseContext has the properties of a request and its connection that decide how the response
// is framed.
struct ResponseContext {
  std::uint8_t minor_version = 1;
  bool keep_alive = false;  // the client lets the connection stay open
  bool head_only = false;   // HEAD: the framing of a GET, but no content
  bool connect = false;     // CONNECT: a 2xx would turn the connection into a tunnel
  bool last = false;        // we close the connection after this response

  [[nodiscard, gnu::always_inline]] static ResponseContext of(const Request& request,
                                                              bool last = false) noexcept {
    return {request.minor_version, request.keep_alive, request.method == Method::head,
            request.method == Method::connect, last};
  }
  // Returns whether bytes may follow the request: the client may have sent them already.
  [[nodiscard]] bool may_be_followed() const noexcept { return keep_alive || connect; }
  // Returns whether a Response may have this status. A 2xx to CONNECT would announce a tunnel, and
  // only Response::upgrade() makes one.
  [[nodiscard]] bool allows(int code) const noexcept { return !connect || code >= 300; }
};

struct ResponseHead {
  int code = 200;
  std::string_view prepared = {};  // "Name: value\r\n"...
  std::string_view fields = {};    // the same; they follow `prepared`
  Framing framing = Framing::length;
  std::uint64_t length = 0;
  std::uint8_t minor_version = 1;
  bool keep_alive = false;
  bool upgrade = false;

  // Returns the head of the response, without its framing.
  [[nodiscard, gnu::always_inline]] static ResponseHead of(const Response& response,
                                                           ResponseContext context) noexcept {
    return {.code = response.code(),
            .prepared = response.prepared_fields(),
            .fields = response.fields(),
            .minor_version = context.minor_version,
            .keep_alive = context.keep_alive && !response.closes() && !context.last};
  }
};

// SentResponse is the outcome of sending a response. It has 16 bytes, so it is returned in
// registers.
struct SentResponse {
  std::uint64_t bytes = 0;  // of content
  std::int16_t status = 0;
  bool keep_alive = false;  // the connection may take another request
  bool replaced = false;    // an error was sent in place of the handler's response

  // Returns why the response was replaced, for the access log; "" if it was not.
  [[nodiscard]] std::string_view reason() const noexcept {
    if (!replaced) return {};
    return status == 500 ? "the handler made a mistake" : "CONNECT is not handled";
  }
};

// Returns whether responses with this status never have content (RFC 9110 sections 15.2, 15.3.5,
// 15.4.5).
[[nodiscard]] constexpr bool has_no_content(int code) noexcept {
  if (code == 200) return false;  // first, because nearly all responses have it
  return code < 200 || code == 204 || code == 304;
}

}  // namespace reactor::http
