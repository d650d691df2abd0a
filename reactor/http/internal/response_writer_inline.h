// SPDX-License-Identifier: MIT
// This header has the inline versions of send_response() and write_response(), for a response that
// is sent as soon as the handler returns. Private to http/.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "reactor/http/internal/response_writer.h"
#include "reactor/http/internal/status.h"

namespace reactor::http {

// Pen appends pieces of text. The caller has made sure that there is room for all of them.
class Pen {
 public:
  explicit Pen(std::span<std::byte> room) : start_(room.data()), at_(room.data()) {}
  Pen& operator<<(std::string_view text) {
    if (text.empty()) return *this;  // memcpy(3) must not get the null pointer of an empty view
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  // Does not use std::to_chars(), because the compiler inlines that here only by chance.
  [[gnu::always_inline]] Pen& decimal(std::uint64_t value) {
    std::size_t digits = 1;
    for (std::uint64_t rest = value / 10; rest != 0; rest /= 10) ++digits;
    at_ += digits;
    std::byte* at = at_;
    do {
      *--at = static_cast<std::byte>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    return *this;
  }
  Pen& hexadecimal(std::uint64_t value) {
    auto* const text = reinterpret_cast<char*>(at_);
    at_ += std::to_chars(text, text + 16, value, 16).ptr - text;
    return *this;
  }
  [[nodiscard]] std::size_t written() const { return static_cast<std::size_t>(at_ - start_); }

 private:
  std::byte* start_;
  std::byte* at_;
};

inline constexpr std::size_t kFixedHead = 256;  // for status line, Date, framing, Connection

// Takes and returns the Pen by value: a Pen whose address is taken would cost each response a stack
// guard.
[[gnu::noinline]] inline Pen write_status_line(Pen pen, int code, std::string_view date_line) {
  pen << "HTTP/1.1 ";
  pen.decimal(static_cast<std::uint64_t>(code)) << " " << reason_phrase(code) << "\r\n"
                                                << date_line;
  return pen;
}

[[gnu::always_inline]] inline void write_framing(Pen& pen, const ResponseHead& head) {
  if (head.framing == Framing::length) [[likely]] {
    pen << "Content-Length: ";
    pen.decimal(head.length) << "\r\n";
  } else if (head.framing == Framing::chunked) {
    pen << "Transfer-Encoding: chunked\r\n";
  }
  if (head.upgrade) {
    pen << "Connection: upgrade\r\n";
  } else if (!head.keep_alive) {
    pen << "Connection: close\r\n";
  } else if (head.minor_version == 0) {
    pen << "Connection: keep-alive\r\n";
  }
}

[[gnu::always_inline]] inline bool write_response_inline(Stream& stream, DateCache& date,
                                                         const ResponseHead& head,
                                                         std::string_view content) {
  const std::size_t head_size = kFixedHead + head.prepared.size() + head.fields.size();
  if (head_size > Stream::kWriteRoom) return false;
  const bool together = head_size + content.size() <= Stream::kWriteRoom;
  Pen pen(stream.write_room(together ? head_size + content.size() : head_size));
  const DateCache::Lines& lines = date.lines();
  if (head.code == 200) [[likely]] {
    pen << std::string_view(lines.data(), lines.size());
  } else {
    pen = write_status_line(pen, head.code, {lines.data() + DateCache::kStatus, DateCache::kLine});
  }
  pen << head.prepared << head.fields;
  write_framing(pen, head);
  pen << "\r\n";
  if (together) pen << content;
  stream.wrote(pen.written());
  if (!together) stream.write(content);
  return true;
}

// Sends an error in place of a handler's response, and logs a mistake of the handler (500).
[[gnu::noinline]] SentResponse replace_response(Stream& stream, DateCache& date, int status,
                                                bool head_only);

[[gnu::always_inline]] inline SentResponse send_response_inline(Stream& stream, DateCache& date,
                                                                const Response& response,
                                                                ResponseContext context) {
  ResponseHead head = ResponseHead::of(response, context);
  if (response.failed() || !context.allows(head.code)) [[unlikely]] {
    return replace_response(stream, date, response.failed() ? 500 : 501, context.head_only);
  }
  std::string_view content = response.content();
  if (has_no_content(head.code)) [[unlikely]] {
    head.framing = Framing::none;
    content = {};
  }
  head.length = content.size();
  if (context.head_only) [[unlikely]]
    content = {};
  if (write_response_inline(stream, date, head, content)) [[likely]] {
    return {.bytes = content.size(),
            .status = static_cast<std::int16_t>(head.code),
            .keep_alive = head.keep_alive};
  }
  return replace_response(stream, date, 500, context.head_only);
}

}  // namespace reactor::http
