// SPDX-License-Identifier: MIT
// How answers look on the wire: status line, fields, framing. Private to http/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/http/date.h"
#include "reactor/http/request.h"
#include "reactor/http/response.h"
#include "reactor/net/stream.h"

namespace reactor::http {

// How the client finds the end of the content (RFC 9112 section 6.3).
enum class Framing : std::uint8_t {
  none,         // there is none: 1xx, 204, 304, 2xx to CONNECT
  length,       // Content-Length
  chunked,      // Transfer-Encoding
  until_close,  // HTTP/1.0 without a length
};

// What the access log wants of a request whose answer comes later.
struct RequestNote {
  RequestNote(const Request& request, const Stream& stream);

  std::optional<Address> peer;
  std::string method_token;
  std::string target;
  std::string referer;
  std::string user_agent;
  TimePoint begun;
};

// What of the request decides how its answer is framed.
struct AnswerContext {
  std::uint8_t minor_version = 1;
  bool keep_alive = false;  // the connection goes on, as far as the client is concerned
  bool head_only = false;   // HEAD: the framing of a GET and no content
  bool connect = false;     // CONNECT: 2xx would make a tunnel of the connection

  [[nodiscard]] static AnswerContext of(const Request& from) noexcept {
    return {from.minor_version, from.keep_alive, from.method == Method::head,
            from.method == Method::connect};
  }
  // The client may be sending already what comes behind the request.
  [[nodiscard]] bool may_be_followed() const noexcept { return keep_alive || connect; }
};

struct AnswerHead {
  Framing framing = Framing::length;
  std::uint64_t length = 0;
  std::uint8_t minor_version = 1;
  bool keep_alive = false;
  bool upgrade = false;
};

// Whether an answer with that status never has content (RFC 9110 sections 15.2, 15.3.5, 15.4.5).
[[nodiscard]] constexpr bool has_no_content(int code) noexcept {
  return code < 200 || code == 204 || code == 304;
}

// Writes the head, with `content` behind it. False, and nothing is written, where the fields are
// longer than a Stream has room for (64 KiB).
[[nodiscard]] bool write_answer(Stream& stream, DateCache& date, const Response& response,
                                const AnswerHead& head, std::string_view content);

// One chunk of a chunked content; nothing where it is empty, as that would be the end.
void write_chunk(Stream& stream, std::string_view content);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace reactor::http
