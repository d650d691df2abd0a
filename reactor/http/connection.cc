// SPDX-License-Identifier: MIT
// In the common case all requests of a read are parsed in the loop's scratch buffer and answered
// from there. Only what is unfinished at the end of a read is copied: a part of a head into
// partial_, a head whose content is still to come, with what there is of it, into body_.
#include "reactor/http/connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <exception>
#include <string>

#include "reactor/base/log.h"
#include "reactor/http/status.h"

namespace reactor::http {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Writes one piece behind another; the caller saw to the room.
class Pen {
 public:
  explicit Pen(std::span<std::byte> room) : start_(room.data()), at_(room.data()) {}
  Pen& operator<<(std::string_view text) {
    if (text.empty()) return *this;  // its data may be null
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Pen& operator<<(std::uint64_t number) {
    auto* const text = reinterpret_cast<char*>(at_);
    at_ += std::to_chars(text, text + 20, number).ptr - text;
    return *this;
  }
  [[nodiscard]] std::size_t written() const { return static_cast<std::size_t>(at_ - start_); }

 private:
  std::byte* start_;
  std::byte* at_;
};

constexpr std::size_t kFixedHead = 256;  // status line, Date, Content-Length, Connection

}  // namespace

void Connection::on_open(Stream& stream) {
  stream.set_deadline(saturating_add(stream.loop().now(), service_->options.header_timeout));
  clock_ = Clock::request;
}

void Connection::on_data(Stream& stream, std::span<std::byte> bytes) {
  if (partial_ == nullptr) {
    const std::string_view rest = take_requests(stream, text_of(bytes));
    if (!rest.empty() && !stream.closing()) {
      partial_ = std::make_unique<ByteBuffer>();
      partial_->append(bytes_of(rest));
    }
  } else {
    // Owned here meanwhile: a request that is answered from it must find the connection idle.
    std::unique_ptr<ByteBuffer> earlier = std::move(partial_);
    earlier->append(bytes);
    const std::size_t left = take_requests(stream, text_of(earlier->data())).size();
    earlier->consume(earlier->size() - left);
    if (left > 0) partial_ = std::move(earlier);
  }
  if (!stream.closing()) set_clock(stream);
}

std::string_view Connection::take_requests(Stream& stream, std::string_view input) {
  while (!input.empty() && !stream.closing()) {
    const bool taken = body_ != nullptr ? feed_body(stream, input) : take_request(stream, input);
    if (!taken) break;
  }
  return input;
}

void Connection::set_clock(Stream& stream) {
  const Options& options = service_->options;
  if (idle()) {
    if (clock_ != Clock::idle) stream.set_idle_timeout(options.keep_alive);
    clock_ = Clock::idle;
  } else if (clock_ != Clock::request) {
    const Duration limit = body_ != nullptr ? options.body_timeout : options.header_timeout;
    stream.set_deadline(saturating_add(stream.loop().now(), limit));
    clock_ = Clock::request;
  }
}

// One request from the front of `input`; false where it is unfinished, or was refused.
bool Connection::take_request(Stream& stream, std::string_view& input) {
  Request& request = service_->request;
  const ParseResult result = service_->parser.parse(input, progress_, request);
  if (result.incomplete()) return false;
  if (result.error()) {
    refuse(stream, result.status);
    return false;
  }
  const std::string_view head = input.substr(0, result.consumed);
  input.remove_prefix(result.consumed);
  if (request.has_body()) return begin_body(stream, head, input);
  request.body = {};
  answer(stream, !input.empty());
  return true;
}

bool Connection::begin_body(Stream& stream, std::string_view head, std::string_view& input) {
  Request& request = service_->request;
  if (!request.chunked && input.size() >= request.content_length) {  // it is all here
    request.body = input.substr(0, request.content_length);
    input.remove_prefix(request.content_length);
    answer(stream, !input.empty());
    return true;
  }
  body_ = std::make_unique<PendingBody>();
  body_->head.append(bytes_of(head));
  clock_ = Clock::stale;  // the content has a deadline of its own
  if (request.expect_continue && input.empty()) stream.write(kContinue);
  return feed_body(stream, input);
}

// Takes what belongs to the pending content; true where that makes the request whole.
bool Connection::feed_body(Stream& stream, std::string_view& input) {
  // The views of a request whose head came with an earlier read are made anew.
  Request& request = service_->request;
  ParseProgress progress;
  static_cast<void>(service_->parser.parse(text_of(body_->head.data()), progress, request));
  const bool whole = request.chunked ? feed_chunked(stream, input) : feed_counted(input);
  if (!whole) return false;
  finish_body(stream, !input.empty());
  return true;
}

bool Connection::feed_counted(std::string_view& input) {
  const std::uint64_t missing = service_->request.content_length - body_->content.size();
  const std::size_t take = std::min<std::uint64_t>(missing, input.size());
  body_->content.append(bytes_of(input.substr(0, take)));
  input.remove_prefix(take);
  return take == missing;
}

bool Connection::feed_chunked(Stream& stream, std::string_view& input) {
  using State = ChunkedDecoder::State;
  for (;;) {
    const ChunkedDecoder::Step step = body_->decoder.next(input, service_->options.limits);
    input.remove_prefix(step.consumed);
    if (step.state == State::data) {
      body_->content.append(bytes_of(step.data));
      continue;
    }
    if (step.state == State::error) refuse(stream, step.status);
    return step.state == State::done;
  }
}

void Connection::finish_body(Stream& stream, bool more_input) {
  const std::unique_ptr<PendingBody> whole = std::move(body_);
  service_->request.body = text_of(whole->content.data());
  answer(stream, more_input);
}

void Connection::answer(Stream& stream, bool more_input) {
  const Request& request = service_->request;
  Response& response = service_->response;
  response.reset();
  if (clock_ == Clock::request) clock_ = Clock::stale;
  try {
    service_->handler(request, response);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("http handler threw: ") + error.what());
    refuse(stream, 500);
    return;
  } catch (...) {
    REACTOR_LOG(error, "http handler threw something that is no std::exception");
    refuse(stream, 500);
    return;
  }
  if (response.failed()) {
    REACTOR_LOG(error, "http handler: status out of 200..599, or a field with forbidden octets");
    refuse(stream, 500);
    return;
  }
  const bool keep_alive = request.keep_alive && !response.closes() && !service_->draining;
  respond(stream, keep_alive, request.method != Method::head);
  // One that did not ask for the end may be sending its next request already.
  if (!keep_alive) stream.close(more_input || request.keep_alive);
}

// One error answer; nothing behind the request is read, as nobody knows where it ends.
void Connection::refuse(Stream& stream, int status) {
  Response& response = service_->response;
  response.reset();
  response.status(status).content_type("text/plain").body(reason_phrase(status));
  body_.reset();
  respond(stream, false, true);
  stream.close(true);
}

void Connection::respond(Stream& stream, bool keep_alive, bool with_content) {
  const Response& response = service_->response;
  const int code = response.code();
  const bool no_content = code == 204 || code == 304;  // RFC 9110 sections 15.3.5 and 15.4.5
  const std::string_view content =
      with_content && !no_content ? response.content() : std::string_view{};
  const std::size_t head_size = kFixedHead + response.fields().size();
  if (head_size > Stream::kWriteRoom) {
    refuse(stream, 500);
    return;
  }
  const bool together = head_size + content.size() <= Stream::kWriteRoom;
  Pen pen(stream.write_room(together ? head_size + content.size() : head_size));
  if (code == 200) [[likely]] {
    pen << "HTTP/1.1 200 OK\r\nDate: ";
  } else {
    pen << "HTTP/1.1 " << static_cast<std::uint64_t>(code) << " " << reason_phrase(code)
        << "\r\nDate: ";
  }
  pen << service_->date.at(stream.loop().now()) << "\r\n" << response.fields();
  if (!no_content) pen << "Content-Length: " << response.content().size() << "\r\n";
  if (!keep_alive) {
    pen << "Connection: close\r\n";
  } else if (service_->request.minor_version == 0) {
    pen << "Connection: keep-alive\r\n";
  }
  pen << "\r\n";
  if (together) pen << content;
  stream.wrote(pen.written());
  if (!together) stream.write(content);
}

void Connection::on_timeout(Stream& stream) {
  if (idle() && progress_.fresh()) {
    stream.close();
  } else {
    refuse(stream, 408);
  }
}

// A connection between requests is closed; one that is amid a request gets its answer first.
void Connection::on_shutdown(Stream& stream) {
  if (idle()) stream.close(true);
}

}  // namespace reactor::http
