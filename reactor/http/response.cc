// SPDX-License-Identifier: MIT
#include "reactor/http/response.h"

#include <algorithm>
#include <array>

#include "reactor/base/internal/check.h"
#include "reactor/http/internal/http_connection.h"
#include "reactor/http/internal/parse/chars.h"

namespace reactor::http {
namespace {

constexpr std::size_t kKeptMemory = 64 * 1024;

bool is_framing(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOurs = {"Content-Length", "Transfer-Encoding",
                                                     "Connection", "Date"};
  return std::any_of(kOurs.begin(), kOurs.end(),
                     [name](std::string_view ours) { return chars::same(name, ours); });
}

// Appends a field, and returns whether it is valid. If memory runs out, appends nothing, because a
// part of a field would run into the next field.
bool append_field(std::string& text, std::string_view name, std::string_view value) {
  if (name.empty() || !chars::all(chars::kToken, name) || !chars::all(chars::kValue, value) ||
      is_framing(name)) {
    return false;
  }
  const std::size_t before = text.size();
  try {
    text.append(name).append(": ").append(value).append("\r\n");
  } catch (...) {
    text.resize(before);
    throw;
  }
  return true;
}

}  // namespace

bool PreparedFields::add(std::string_view name, std::string_view value) {
  return append_field(text_, name, value);
}

Response& Response::status(int code) noexcept {
  if (code < 200 || code > 599) failed_ = true;
  code_ = code;
  return *this;
}

Response& Response::header(std::string_view name, std::string_view value) {
  if (!append_field(fields_, name, value)) failed_ = true;
  copied_ = true;
  return *this;
}

void Response::copy_prepared() {
  fields_.insert(0, prepared_);
  copied_ = true;
}

Response& Response::body(std::string_view content) {
  body_.assign(content);
  copied_ = owns_content_ = true;
  return *this;
}

Response& Response::not_allowed(std::string_view methods) {
  return header("Allow", methods).status(405);
}

Response& Response::close() noexcept {
  closes_ = true;
  return *this;
}

Responder Response::defer() {
  REACTOR_CHECK(connection_ != nullptr && !deferred_);
  Responder responder = connection_->defer(*stream_, *request_);
  deferred_ = true;
  return responder;
}

Response& Response::upgrade(std::string_view protocol, StreamHandler& next) {
  REACTOR_CHECK(connection_ != nullptr);
  if (request_->method != Method::connect) {
    header("Upgrade", protocol);  // first, because it may throw
    if (request_->upgrade.empty()) failed_ = true;
    code_ = 101;
  }
  next_ = &next;
  return *this;
}

void Response::forget_copies() noexcept {
  for (std::string* text : {&fields_, &body_}) {
    if (text->capacity() > kKeptMemory) {
      *text = std::string();
    } else {
      text->clear();
    }
  }
}

}  // namespace reactor::http
