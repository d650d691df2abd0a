// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "reactor/http/responder.h"

namespace reactor {
class Stream;
class StreamHandler;
}  // namespace reactor

namespace reactor::http {

class Connection;
struct Request;

// Fields that many answers share. They are checked once; each answer then takes them in one copy.
class PreparedFields {
 public:
  // Adds a field. Returns false, and adds nothing, if the field breaks the rules of
  // Response::header().
  [[nodiscard]] bool add(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

// The answer to one request, which the handler fills in. Everything is copied into memory that is
// reused for the next answer, unless a call says otherwise. The library sets the fields about
// framing (Content-Length, Transfer-Encoding, Connection) and Date; they can't be set here. Not
// thread-safe.
class Response {
 public:
  // Sets the status, 200..599; the default is 200. Any other is a mistake of the handler (see
  // failed()).
  Response& status(int code) noexcept;

  // Adds a field. The name is a token (RFC 9110 section 5.6.2); the value has no control characters
  // except tabs. Anything else, and the names that the library sets, count as a mistake, so that
  // nothing can be injected.
  Response& header(std::string_view name, std::string_view value);
  // Adds prepared fields without a copy: they must not change until the answer was sent.
  Response& headers(const PreparedFields& fields) {
    if (!prepared_.empty()) [[unlikely]]
      copy_prepared();
    prepared_ = fields.text();
    return *this;
  }
  Response& content_type(std::string_view type) { return header("Content-Type", type); }

  // Sets the content. In answer to HEAD, and with 204 and 304, it is not sent; with HEAD its length
  // is.
  Response& body(std::string_view content);
  // Sets the content without a copy: the bytes must not change until the answer was sent.
  Response& body_in_place(std::string_view content) noexcept {
    content_ = content;
    owns_content_ = false;
    return *this;
  }

  // Answers 405 with the methods that the target has, such as "GET, HEAD" (RFC 9110 section
  // 15.5.6).
  Response& not_allowed(std::string_view methods);

  // Closes the connection after this answer.
  Response& close() noexcept;

  // Only the handler to which this Response was given may call the following, while it runs.

  // Defers the answer: the Responder gives it, now or later. This Response is ignored.
  [[nodiscard]] Responder defer();

  // Hands the connection over to `next`. A request with an Upgrade field is answered with 101 and
  // that protocol; CONNECT is answered with the status of this Response (2xx), and `protocol` is
  // not used. After the answer `next` becomes the Stream's handler: on_open() is called, then
  // on_data() with the bytes that the client has sent already, on_end() if the client has
  // half-closed, and on_shutdown() if the server drains. If one of these calls throws, the
  // exception leaves Loop::run() as usual, but the connection ends. The server still owns the
  // Stream and closes it with the others. `next` must live until its on_close(). It is a mistake if
  // the request asked for neither.
  Response& upgrade(std::string_view protocol, StreamHandler& next);

  [[nodiscard]] int code() const noexcept { return code_; }
  // "Name: value\r\n"...: the prepared fields; fields() has those of header().
  [[nodiscard]] std::string_view prepared_fields() const noexcept { return prepared_; }
  [[nodiscard]] std::string_view fields() const noexcept { return fields_; }
  [[nodiscard]] std::string_view content() const noexcept {
    return owns_content_ ? std::string_view(body_) : content_;
  }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  // Returns whether the handler made a mistake. The client then gets a 500, and an error is logged.
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  // Clears everything; keeps up to 64 KiB of memory for each of fields and content.
  void reset() noexcept {
    if (copied_) forget_copies();
    content_ = prepared_ = {};
    code_ = 200;
    copied_ = owns_content_ = closes_ = failed_ = deferred_ = false;
    connection_ = nullptr;
    next_ = nullptr;
  }

 private:
  friend class Connection;

  void copy_prepared();
  void forget_copies() noexcept;

  std::string_view content_;   // points to memory of the handler
  std::string_view prepared_;  // points to PreparedFields
  int code_ = 200;
  bool copied_ = false;  // fields_ or body_ is in use
  bool owns_content_ = false;
  bool closes_ = false;
  bool failed_ = false;
  bool deferred_ = false;
  Connection* connection_ = nullptr;  // set, like the next two, while its handler runs
  Stream* stream_ = nullptr;
  const Request* request_ = nullptr;
  StreamHandler* next_ = nullptr;  // set by upgrade()
  std::string fields_;
  std::string body_;
};

}  // namespace reactor::http
