// SPDX-License-Identifier: MIT
#include "reactor/http/internal/response_writer.h"

#include <algorithm>

#include "reactor/base/log.h"
#include "reactor/http/internal/response_writer_inline.h"

namespace reactor::http {
namespace {

constexpr std::size_t kChunkFrame = 32;  // a chunk's size in hexadecimal and two CRLFs

}  // namespace

SentResponse send_response(Stream& stream, DateCache& date, const Response& response,
                           ResponseContext context) {
  return send_response_inline(stream, date, response, context);
}

SentResponse replace_response(Stream& stream, DateCache& date, int status, bool head_only) {
  if (status == 500) {
    REACTOR_LOG(error,
                "http handler: status out of 200..599, forbidden or too many bytes in a "
                "field, or an upgrade that nobody asked for");
  }
  SentResponse sent = send_error(stream, date, status, head_only);
  sent.replaced = true;
  return sent;
}

SentResponse send_error(Stream& stream, DateCache& date, int status, bool head_only) {
  const std::string_view phrase = reason_phrase(status);
  const ResponseHead head{
      .code = status, .prepared = "Content-Type: text/plain\r\n", .length = phrase.size()};
  const std::string_view content = head_only ? std::string_view{} : phrase;
  static_cast<void>(write_response(stream, date, head, content));
  return {.bytes = content.size(), .status = static_cast<std::int16_t>(status)};
}

bool write_response(Stream& stream, DateCache& date, const ResponseHead& head,
                    std::string_view content) {
  return write_response_inline(stream, date, head, content);
}

void write_chunk(Stream& stream, std::string_view content) {
  constexpr std::size_t kMost = Stream::kWriteRoom - kChunkFrame;
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kMost))) {
    const std::string_view part = content.substr(0, kMost);
    Pen pen(stream.write_room(part.size() + kChunkFrame));
    pen.hexadecimal(part.size()) << "\r\n" << part << "\r\n";
    stream.wrote(pen.written());
  }
}

}  // namespace reactor::http
