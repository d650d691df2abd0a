// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace reactor::http {

// Fields that many answers share, checked once: each answer then takes them in one copy.
class PreparedFields {
 public:
  // Adds a field under the rules of Response::header(). False, and nothing is added, where it
  // breaks them.
  [[nodiscard]] bool add(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

// The answer to one request, filled in by the handler. Everything is copied, into memory that is
// used again for the next answer. Framing is the library's: Content-Length, Transfer-Encoding,
// Connection and Date are set by it, and can't be set here. Not thread-safe.
class Response {
 public:
  // 200..599; the default is 200. Others count as a mistake of the handler (see failed()).
  Response& status(int code) noexcept;

  // Adds a field. The name is a token (RFC 9110 section 5.6.2), the value holds no control octets
  // but tabs: anything else, and the names above, count as a mistake, so nothing can be injected.
  Response& header(std::string_view name, std::string_view value);
  Response& headers(const PreparedFields& fields);
  Response& content_type(std::string_view type) { return header("Content-Type", type); }

  // The content. It is not sent in answer to HEAD, nor with 204 and 304, but counted.
  Response& body(std::string_view content);

  // Closes the connection after this answer.
  Response& close() noexcept;

  [[nodiscard]] int code() const noexcept { return code_; }
  [[nodiscard]] std::string_view fields() const noexcept {
    return fields_;
  }  // "Name: value\r\n"...
  [[nodiscard]] std::string_view content() const noexcept { return content_; }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  // The handler made a mistake; the client gets a 500 and the log says what it was.
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  // Empty again, with its memory kept up to 64 KiB.
  void reset() noexcept;

 private:
  std::string fields_;
  std::string content_;
  int code_ = 200;
  bool closes_ = false;
  bool failed_ = false;
};

}  // namespace reactor::http
