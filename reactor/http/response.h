// SPDX-License-Identifier: MIT
// Response is the response that a handler fills in for its client.
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

// PreparedFields holds fields that many responses share. They are checked only once, when they are
// added. Each response writes them in one piece.
class PreparedFields {
 public:
  // Adds a field. Returns false, and adds nothing, if the field breaks the rules of
  // Response::header().
  [[nodiscard]] bool add(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

// A handler fills in a Response to answer one request. The functions copy their arguments into
// memory that is reused for the next response, unless their comments say otherwise. The library
// sets Date and the fields about framing (Content-Length, Transfer-Encoding, Connection). They
// can't be set here. Not thread-safe.
class Response {
 public:
  // Sets the status, 200..599. The default is 200. Any other status is a mistake of the handler
  // (see failed()).
  Response& status(int code) noexcept;

  // Adds a field. The name must be a token (RFC 9110 section 5.6.2), and the value must not contain
  // control characters except tabs. Anything else is a mistake of the handler, so that an attacker
  // can't inject fields. A name that the library sets itself is a mistake, too.
  Response& header(std::string_view name, std::string_view value);
  // Adds prepared fields without a copy. They must not change until the response has been sent.
  Response& headers(const PreparedFields& fields) {
    if (!prepared_.empty()) [[unlikely]]
      copy_prepared();
    prepared_ = fields.text();
    return *this;
  }
  Response& content_type(std::string_view type) { return header("Content-Type", type); }

  // Sets the content. With 204 and 304 the content is not sent. In response to HEAD only its length
  // is sent.
  Response& body(std::string_view content);
  // Sets the content without a copy. The bytes must not change until the response has been sent.
  Response& body_in_place(std::string_view content) noexcept {
    content_ = content;
    owns_content_ = false;
    return *this;
  }

  // Sets the status 405 and the methods that the target allows, such as "GET, HEAD" (RFC 9110
  // section 15.5.6).
  Response& not_allowed(std::string_view methods);

  // Closes the connection after this response.
  Response& close() noexcept;

  // Only the handler that was called with this Response may call the next two functions, and only
  // while it runs.

  // Defers the response: the Responder sends it, now or later. This Response is ignored.
  [[nodiscard]] Responder defer();

  // Makes `next` the handler of the connection. A request with an Upgrade field gets a 101 with
  // `protocol`. A CONNECT gets the status of this Response (2xx), and `protocol` is not used. Any
  // other request makes this call a mistake of the handler. After the response, `next` gets
  // on_open(), then on_data() with the bytes that the client has sent already, on_end() if the
  // client has half-closed, and on_shutdown() if the server drains. If one of these calls throws,
  // the connection ends, and the exception leaves Loop::run(). The server still owns the Stream,
  // and closes it when it closes its other connections. `next` must live until its on_close().
  Response& upgrade(std::string_view protocol, StreamHandler& next);

  [[nodiscard]] int code() const noexcept { return code_; }
  // prepared_fields() returns the fields of headers(), and fields() returns those of header(). Each
  // field is "Name: value\r\n".
  [[nodiscard]] std::string_view prepared_fields() const noexcept { return prepared_; }
  [[nodiscard]] std::string_view fields() const noexcept { return fields_; }
  [[nodiscard]] std::string_view content() const noexcept {
    return owns_content_ ? std::string_view(body_) : content_;
  }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  // Returns whether the handler made a mistake. The client then gets a 500, and an error is logged.
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  // Clears everything. Keeps up to 64 KiB of memory for the fields, and as much for the content.
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

  std::string_view content_;   // of body_in_place(), in memory of the handler
  std::string_view prepared_;  // in a PreparedFields
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
