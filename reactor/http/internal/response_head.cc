// SPDX-License-Identifier: MIT
#include "reactor/http/internal/response_head.h"

#include <algorithm>

#include "reactor/http/internal/response_writer.h"

namespace reactor::http {
namespace {

constexpr std::size_t kChunkFrame = 32;  // a chunk's size in hexadecimal and two CRLFs

}  // namespace

RequestNote::RequestNote(const Request& request, const Stream& stream)
    : method_token(request.method_token),
      target(request.target),
      referer(request.field("Referer").value_or("")),
      user_agent(request.field("User-Agent").value_or("")),
      begun(stream.loop().now()) {
  if (Result<Address> address = stream.peer()) peer = *address;
}

bool write_answer(Stream& stream, DateCache& date, const Response& response, const AnswerHead& head,
                  std::string_view content) {
  return write_answer_inline(stream, date, response, head, content);
}

void write_chunk(Stream& stream, std::string_view content) {
  constexpr std::size_t kMost = Stream::kWriteRoom - kChunkFrame;
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kMost))) {
    const std::string_view part = content.substr(0, kMost);
    Pen pen(stream.write_room(part.size() + kChunkFrame));
    pen.number(part.size(), 16) << "\r\n" << part << "\r\n";
    stream.wrote(pen.written());
  }
}

}  // namespace reactor::http
