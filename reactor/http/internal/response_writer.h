// SPDX-License-Identifier: MIT
// These functions write responses to a Stream: status line, fields, framing, content. Private to
// http/.
//
//   send_response()    a whole Response, or an error in place of one that is wrong
//   send_error()       a whole response that needs no Response, and no memory
//   write_response()   a head, and the content after it
//   write_chunk()      a piece of content after the head
#pragma once

#include <string_view>

#include "reactor/http/internal/date.h"
#include "reactor/http/internal/response_head.h"
#include "reactor/net/stream/stream.h"

namespace reactor::http {

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// Sends the response. Sends an error response instead if the handler made a mistake (500), did not
// handle CONNECT (501), or made a head that is longer than Stream::kWriteRoom (500).
SentResponse send_response(Stream& stream, DateCache& date, const Response& response,
                           ResponseContext context);

// Sends an error response whose content is the reason phrase. Allocates nothing, so it also works
// without memory and in the destructor of a Responder.
SentResponse send_error(Stream& stream, DateCache& date, int status, bool head_only);

// Writes the head and then `content`. Returns false, and writes nothing, if the head is longer than
// Stream::kWriteRoom (64 KiB).
[[nodiscard]] bool write_response(Stream& stream, DateCache& date, const ResponseHead& head,
                                  std::string_view content);

// Writes `content` as one or more chunks. Writes nothing if it is empty, because an empty chunk
// ends the content.
void write_chunk(Stream& stream, std::string_view content);

}  // namespace reactor::http
