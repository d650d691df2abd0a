// SPDX-License-Identifier: MIT
// The wire format of answers: status line, fields, framing. Private to http/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/http/internal/date.h"
#include "reactor/http/request.h"
#include "reactor/http/response.h"
#include "reactor/net/stream/stream.h"

namespace reactor::http {

// How the client finds the end of the content (RFC 9112 section 6.3).
enum class Framing : std::uint8_t {
  none,         // there is no content: 1xx, 204, 304, 2xx to CONNECT
  length,       // Content-Length
  chunked,      // Transfer-Encoding
  until_close,  // the content ends with the connection: HTTP/1.0 without a length
};

// Copies what the access log needs of a request that is answered later.
struct RequestNote {
  RequestNote(const Request& request, const Stream& stream);

  std::optional<Address> peer;
  std::string method_token;
  std::string target;
  std::string referer;
  std::string user_agent;
  TimePoint begun;
};

// The properties of a request that decide how its answer is framed.
struct AnswerContext {
  std::uint8_t minor_version = 1;
  bool keep_alive = false;  // the client lets the connection stay open
  bool head_only = false;   // HEAD: the framing of a GET, but no content
  bool connect = false;     // CONNECT: a 2xx would turn the connection into a tunnel

  [[nodiscard]] static AnswerContext of(const Request& from) noexcept {
    return {from.minor_version, from.keep_alive, from.method == Method::head,
            from.method == Method::connect};
  }
  // Returns whether bytes may follow the request: the client may have sent them already.
  [[nodiscard]] bool may_be_followed() const noexcept { return keep_alive || connect; }
};

struct AnswerHead {
  Framing framing = Framing::length;
  std::uint64_t length = 0;
  std::uint8_t minor_version = 1;
  bool keep_alive = false;
  bool upgrade = false;
};

// Returns whether answers with that status never have content (RFC 9110 sections 15.2, 15.3.5,
// 15.4.5).
[[nodiscard]] constexpr bool has_no_content(int code) noexcept {
  return code < 200 || code == 204 || code == 304;
}

// Writes the head and then `content`. Returns false, and writes nothing, if the head is longer than
// the room of a Stream (64 KiB).
[[nodiscard]] bool write_answer(Stream& stream, DateCache& date, const Response& response,
                                const AnswerHead& head, std::string_view content);

// Writes `content` as one or more chunks. Writes nothing if it is empty, because an empty chunk
// ends the content.
void write_chunk(Stream& stream, std::string_view content);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace reactor::http
