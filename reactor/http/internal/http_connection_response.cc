// SPDX-License-Identifier: MIT
// A handler fills in the usual response before it returns. This file has the part of Connection
// that sends all other responses: errors, upgrades, deferred responses, and responses to requests
// whose content is not read.
#include <algorithm>
#include <exception>
#include <string>

#include "reactor/base/internal/check.h"
#include "reactor/base/log.h"
#include "reactor/http/access_log.h"
#include "reactor/http/internal/http_connection.h"
#include "reactor/http/internal/response_writer.h"

namespace reactor::http {
namespace {

std::string name_of_peer(const Stream& stream) {
  const Result<Address> peer = stream.peer();
  return peer ? peer->to_string() : "a peer that is gone";
}

}  // namespace

// Not inlined, because the strings that are built here would slow down every response. If there is
// no memory for them, only the log line is lost, and the caller continues.
[[gnu::noinline]] void log_exception(std::string_view callback) noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    REACTOR_LOG(error, "http " + std::string(callback) + " threw: " + error.what());
  } catch (...) {
    REACTOR_LOG(error,
                "http " + std::string(callback) + " threw something that is no std::exception");
  }
}

// ---- Responses ----

// Ends a handler call that deferred the response, upgraded the connection, threw, or ignored
// content that is still to come.
[[gnu::noinline]] void Connection::respond_otherwise(Stream& stream, const Request& request,
                                                     const Response& response,
                                                     std::string_view& input, bool well) {
  if (response.deferred_) {
    if (!well && exchange_ != nullptr && !exchange_->over) exchange_->abandon();
    drop_if_over(stream);
  } else if (!well) {
    refuse(stream, request, {500, "the handler threw"});
  } else if (response.next_ != nullptr && !response.failed()) {
    upgrade(stream, request, response, input);
    input = {};
  } else {  // a plain response, although content is still to come
    respond_and_close(stream, request, response);
  }
}

// Responds to a request whose content is not read, so no other request can follow.
void Connection::respond_and_close(Stream& stream, const Request& request,
                                   const Response& response) {
  exchange_.reset();
  const auto context = ResponseContext::of(request, true);
  const SentResponse sent = send_response(stream, shared_->date, response, context);
  log_response(stream, request, sent, sent.reason());
  stream.close(true);
}

// Sends the response to an upgrade or CONNECT, and gives the Stream its new handler.
void Connection::upgrade(Stream& stream, const Request& request, const Response& response,
                         std::string_view rest) {
  StreamHandler& next = *response.next_;
  ResponseHead head = ResponseHead::of(response, {});
  head.framing = Framing::none;
  head.keep_alive = true;
  head.upgrade = request.method != Method::connect;
  if (exchange_ != nullptr || !write_response(stream, shared_->date, head, {})) {
    refuse(stream, request, {500, "an upgrade amid content, or with too many fields"});
    return;
  }
  log_response(stream, request, {.status = static_cast<std::int16_t>(head.code)}, {});
  stream.set_handler(next);
  stream.set_idle_timeout(Duration::zero());
  if (input_paused_) stream.resume_reading();
  try {
    catch_up(stream, rest);
  } catch (...) {  // the new handler would miss the remaining calls
    stream.fail(make_error_code(std::errc::operation_canceled));
    throw;
  }
}

// Calls on_open() of the Stream's new handler, and repeats for it the events that only the
// Connection got. In each of these calls the handler may close the Stream or set another handler.
void Connection::catch_up(Stream& stream, std::string_view rest) {
  stream.handler().on_open(stream);
  if (!rest.empty() && !stream.closing()) {
    // The bytes are in our own buffer, which is not const, and a handler may change its input.
    auto* const bytes = reinterpret_cast<std::byte*>(const_cast<char*>(rest.data()));
    stream.handler().on_data(stream, {bytes, rest.size()});
  }
  if (stream.ended() && !stream.closing()) stream.handler().on_end(stream);
  if (stream.asked_to_end() && !stream.closing()) stream.handler().on_shutdown(stream);
}

// Sends one error response. Reads nothing after the request, because its end is unknown.
void Connection::refuse(Stream& stream, const Request& request, const Refusal& why) {
  REACTOR_LOG(debug, "refused a request from " + name_of_peer(stream) + " with " +
                         std::to_string(why.status) + ": " + why.text());
  const bool logged = shared_->options.access_log != nullptr;
  const std::string reason = logged ? why.text() : std::string();
  const SentResponse sent = send_error(stream, shared_->date, why.status, false);
  log_response(stream, request, sent, reason);
  stream.close(true);
}

// Logs the request in progress. If it was deferred, only its note is still valid.
[[gnu::noinline]] void Connection::log_response(Stream& stream, const Request& request,
                                                SentResponse sent, std::string_view reason) {
  AccessLog* const log = shared_->options.access_log;
  if (log == nullptr) return;
  if (exchange_ != nullptr && exchange_->note != nullptr) {
    exchange_->note->log(stream.loop().now(), sent, reason);
  } else {
    log_request(*log, stream, request, sent, reason);
  }
}

// ---- Deferred responses ----

Responder Connection::defer(Stream& stream, const Request& request) {
  if (exchange_ == nullptr) exchange_ = std::make_unique<Exchange>(*this, stream);
  return exchange_->defer(request, shared_->options.access_log);
}

// Ends the exchange if its response is complete. Does nothing while one of the exchange's callbacks
// runs, and is called again when that callback returns.
void Connection::drop_if_over(Stream& stream) {
  if (exchange_ == nullptr || !exchange_->over || exchange_->running) return;
  const std::unique_ptr<Exchange> done = std::move(exchange_);
  if (stream.closing()) return;
  if (!done->sent.keep_alive) {
    stream.close(done->reading || partial_ != nullptr || done->context.may_be_followed());
  } else {
    proceed_soon(stream);
  }
}

}  // namespace reactor::http
