// SPDX-License-Identifier: MIT
// The inline version of write_answer(). Private to http/.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "reactor/http/internal/response_head.h"
#include "reactor/http/internal/status.h"

namespace reactor::http {

// Appends pieces of text. The caller made sure that there is room for all of them.
class Pen {
 public:
  explicit Pen(std::span<std::byte> room) : start_(room.data()), at_(room.data()) {}
  Pen& operator<<(std::string_view text) {
    if (text.empty()) return *this;  // memcpy(3) must not get the null pointer of an empty view
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Pen& number(std::uint64_t value, int base = 10) {
    auto* const text = reinterpret_cast<char*>(at_);
    at_ += std::to_chars(text, text + 20, value, base).ptr - text;
    return *this;
  }
  [[nodiscard]] std::size_t written() const { return static_cast<std::size_t>(at_ - start_); }

 private:
  std::byte* start_;
  std::byte* at_;
};

inline constexpr std::size_t kFixedHead = 256;  // for status line, Date, framing, Connection

// Takes and returns the Pen by value: a Pen whose address is taken would cost each answer a stack
// guard.
[[gnu::noinline]] inline Pen write_status_line(Pen pen, int code, std::string_view date_line) {
  pen << "HTTP/1.1 ";
  pen.number(static_cast<std::uint64_t>(code)) << " " << reason_phrase(code) << "\r\n" << date_line;
  return pen;
}

[[gnu::always_inline]] inline void write_framing(Pen& pen, const AnswerHead& head) {
  if (head.framing == Framing::length) [[likely]] {
    pen << "Content-Length: ";
    pen.number(head.length) << "\r\n";
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

[[gnu::always_inline]] inline bool write_answer_inline(Stream& stream, DateCache& date,
                                                       const Response& response,
                                                       const AnswerHead& head,
                                                       std::string_view content) {
  const std::string_view prepared = response.prepared_fields();
  const std::string_view fields = response.fields();
  const std::size_t head_size = kFixedHead + prepared.size() + fields.size();
  if (head_size > Stream::kWriteRoom) return false;
  const bool together = head_size + content.size() <= Stream::kWriteRoom;
  Pen pen(stream.write_room(together ? head_size + content.size() : head_size));
  const DateCache::Lines& lines = date.lines();
  if (response.code() == 200) [[likely]] {
    pen << std::string_view(lines.data(), lines.size());
  } else {
    pen = write_status_line(pen, response.code(),
                            {lines.data() + DateCache::kStatus, DateCache::kLine});
  }
  pen << prepared << fields;
  write_framing(pen, head);
  pen << "\r\n";
  if (together) pen << content;
  stream.wrote(pen.written());
  if (!together) stream.write(content);
  return true;
}

}  // namespace reactor::http
