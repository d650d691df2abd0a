// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "reactor/http/responder.h"

namespace reactor {
class StreamHandler;
}

namespace reactor::http {

class Connection;

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
  // Not copied: `fields` stays as it is until the answer was sent.
  Response& headers(const PreparedFields& fields) {
    if (!prepared_.empty()) [[unlikely]]
      copy_prepared();
    prepared_ = fields.text();
    return *this;
  }
  Response& content_type(std::string_view type) { return header("Content-Type", type); }

  // The content. It is not sent in answer to HEAD, nor with 204 and 304, but counted.
  Response& body(std::string_view content);
  // The same without a copy, for octets that stay as they are until the answer was sent.
  Response& body_in_place(std::string_view content) noexcept {
    content_ = content;
    owns_content_ = false;
    return *this;
  }

  // 405, with the methods that the target has: "GET, HEAD" (RFC 9110 section 15.5.6).
  Response& not_allowed(std::string_view methods);

  // Closes the connection after this answer.
  Response& close() noexcept;

  // The rest are for the handler to which this Response was given, while it runs.

  // The answer is given by the Responder, now or later; what is in this Response is forgotten.
  [[nodiscard]] Responder defer();

  // Hands the connection over: to a request with an Upgrade field by the answer 101 with that
  // protocol, to CONNECT by one with the status of this Response (2xx; `protocol` is not used).
  // When it has left, `next` becomes the Stream's handler: on_open() is called, then on_data() with
  // what the client sent already. The Stream stays the server's, which closes it with the others;
  // `next` lives until its on_close(). A mistake where the request asked for neither.
  Response& upgrade(std::string_view protocol, StreamHandler& next);

  [[nodiscard]] int code() const noexcept { return code_; }
  // "Name: value\r\n"...: those prepared, and after them the others.
  [[nodiscard]] std::string_view prepared_fields() const noexcept { return prepared_; }
  [[nodiscard]] std::string_view fields() const noexcept { return fields_; }
  [[nodiscard]] std::string_view content() const noexcept {
    return owns_content_ ? std::string_view(body_) : content_;
  }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  // The handler made a mistake; the client gets a 500 and the log says what it was.
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  // Empty again, with its memory kept up to 64 KiB.
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

  std::string_view content_;   // elsewhere
  std::string_view prepared_;  // fields elsewhere
  int code_ = 200;
  bool copied_ = false;  // there is something in the strings
  bool owns_content_ = false;
  bool closes_ = false;
  bool failed_ = false;
  bool deferred_ = false;
  Connection* connection_ = nullptr;  // while its handler runs
  StreamHandler* next_ = nullptr;     // of an upgrade
  std::string fields_;
  std::string body_;
};

}  // namespace reactor::http
