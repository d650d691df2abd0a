// SPDX-License-Identifier: MIT
#include "reactor/http/responder.h"

#include <exception>
#include <string>
#include <utility>

#include "reactor/base/check.h"
#include "reactor/base/log.h"
#include "reactor/http/connection.h"
#include "reactor/http/exchange.h"

namespace reactor::http {

Responder::Responder(Exchange& exchange) noexcept : exchange_(&exchange) {
  exchange.responder = this;
}

Responder::Responder(Responder&& other) noexcept
    : exchange_(std::exchange(other.exchange_, nullptr)) {
  if (exchange_ != nullptr) exchange_->responder = this;
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  if (exchange_ != nullptr) exchange_->connection.abandon(*exchange_);
  exchange_ = std::exchange(other.exchange_, nullptr);
  if (exchange_ != nullptr) exchange_->responder = this;
  return *this;
}

Responder::~Responder() {
  if (exchange_ != nullptr) exchange_->connection.abandon(*exchange_);
}

void Responder::send(const Response& response) {
  if (exchange_ != nullptr) exchange_->connection.send(*exchange_, response);
}

void Responder::begin(const Response& response, std::optional<std::uint64_t> length) {
  if (exchange_ != nullptr) exchange_->connection.begin(*exchange_, response, length);
}

void Responder::write(std::string_view content) {
  if (exchange_ != nullptr) exchange_->connection.write(*exchange_, content);
}

void Responder::finish() {
  if (exchange_ != nullptr) exchange_->connection.finish(*exchange_);
}

bool Responder::writable() const noexcept {
  return exchange_ != nullptr && exchange_->stream.writable();
}

void Responder::on_drain(Callback<void()> callback) {
  if (exchange_ != nullptr) exchange_->on_drain = std::move(callback);
}

void Responder::on_close(Callback<void()> callback) {
  if (exchange_ != nullptr) exchange_->on_close = std::move(callback);
}

void Responder::on_body(Callback<void(std::string_view, bool)> callback) {
  if (exchange_ == nullptr) return;
  exchange_->on_body = std::move(callback);
  exchange_->connection.want_body(*exchange_);
}

void Responder::pause_body() {
  if (exchange_ != nullptr) exchange_->connection.pause_body(*exchange_, true);
}

void Responder::resume_body() {
  if (exchange_ != nullptr) exchange_->connection.pause_body(*exchange_, false);
}

// ---- The connection's side ----

Responder Connection::defer() {
  if (exchange_ == nullptr) exchange_ = std::make_unique<Exchange>(*this, *service_->stream);
  exchange_->answering = true;
  exchange_->running = true;  // the handler
  exchange_->answer = AnswerContext::of(service_->request);
  return Responder(*exchange_);
}

bool Connection::asks_to_upgrade() const noexcept { return !service_->request.upgrade.empty(); }
bool Connection::asks_to_tunnel() const noexcept {
  return service_->request.method == Method::connect;
}

void Connection::send(Exchange& exchange, const Response& response) {
  REACTOR_CHECK(!exchange.head_sent);
  if (exchange.reading) exchange.answer.keep_alive = false;
  exchange.keep_alive = respond(exchange.stream, response, exchange.answer);
  answered(exchange);
}

void Connection::begin(Exchange& exchange, const Response& response,
                       std::optional<std::uint64_t> length) {
  REACTOR_CHECK(!exchange.head_sent);
  const AnswerContext& to = exchange.answer;
  AnswerHead head{.minor_version = to.minor_version};
  head.length = length.value_or(0);
  if (has_no_content(response.code())) {
    head.framing = Framing::none;
  } else if (!length) {
    head.framing = to.minor_version == 0 ? Framing::until_close : Framing::chunked;
  }
  head.keep_alive = to.keep_alive && !response.closes() && !service_->draining &&
                    !exchange.reading && head.framing != Framing::until_close;
  const bool wrong = response.failed() || (to.connect && response.code() < 300);
  if (wrong || !write_answer(exchange.stream, service_->date, response, head, {})) {
    exchange.keep_alive = respond(exchange.stream, response, to);
    answered(exchange);
    return;
  }
  exchange.head_sent = true;
  exchange.framing = head.framing;
  exchange.left = head.length;
  exchange.keep_alive = head.keep_alive;
}

void Connection::write(Exchange& exchange, std::string_view content) {
  REACTOR_CHECK(exchange.head_sent);
  if (exchange.framing == Framing::none || exchange.answer.head_only) return;
  if (exchange.framing == Framing::chunked) {
    write_chunk(exchange.stream, content);
    return;
  }
  if (exchange.framing == Framing::length) {
    if (content.size() > exchange.left) {
      REACTOR_LOG(error, "http: more content was written than the length that was announced");
      content = content.substr(0, exchange.left);
    }
    exchange.left -= content.size();
  }
  exchange.stream.write(content);
}

void Connection::finish(Exchange& exchange) {
  REACTOR_CHECK(exchange.head_sent);
  if (!exchange.answer.head_only) {
    if (exchange.framing == Framing::chunked) exchange.stream.write(kLastChunk);
    if (exchange.framing == Framing::length && exchange.left > 0) {
      REACTOR_LOG(error, "http: less content was written than the length that was announced");
      exchange.stream.fail(make_error_code(std::errc::operation_canceled));
    }
  }
  answered(exchange);
}

void Connection::abandon(Exchange& exchange) {
  if (exchange.head_sent) {
    exchange.stream.fail(make_error_code(std::errc::operation_canceled));
  } else {
    REACTOR_LOG(error, "http: a request was deferred and its Responder dropped");
    Response failure;
    failure.status(500).content_type("text/plain").body("Internal Server Error");
    exchange.answer.keep_alive = false;
    static_cast<void>(respond(exchange.stream, failure, exchange.answer));
  }
  exchange.keep_alive = false;
  answered(exchange);
}

void Connection::answered(Exchange& exchange) {
  exchange.over = true;
  if (exchange.responder != nullptr) exchange.responder->exchange_ = nullptr;
  exchange.responder = nullptr;
  drop_if_over(exchange.stream);
}

// Ends the exchange that was answered, unless one of its callbacks runs: then when that returns.
void Connection::drop_if_over(Stream& stream) {
  if (exchange_ == nullptr || !exchange_->over || exchange_->running) return;
  const std::unique_ptr<Exchange> done = std::move(exchange_);
  if (stream.closing()) return;
  if (!done->keep_alive) {
    stream.close(done->reading || partial_ != nullptr || done->answer.keep_alive);
  } else if (!taking_) {
    if (partial_ != nullptr || stream.ended()) {
      go_on_soon(stream);
    } else {
      settle(stream);
    }
  }
}

void Connection::want_body(Exchange& exchange) {
  if (!exchange.wants_continue || exchange.head_sent) return;
  exchange.wants_continue = false;
  exchange.stream.write(kContinue);
}

void Connection::pause_body(Exchange& exchange, bool paused) {
  if (!exchange.reading || exchange.paused == paused) return;
  exchange.paused = paused;
  const TimePoint now = exchange.stream.loop().now();
  if (paused) {
    exchange.paused_at = now;
  } else {
    exchange.begun += now - exchange.paused_at;
    if (!taking_) go_on_soon(exchange.stream);
  }
}

}  // namespace reactor::http
