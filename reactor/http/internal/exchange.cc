// SPDX-License-Identifier: MIT
// A Responder may call its Exchange at any time, even while the handler or another callback of the
// same exchange runs (`running`). If such a call completes the response, the exchange is only
// marked as over. It is destroyed when the callback has returned.
#include "reactor/http/internal/exchange.h"

#include <algorithm>

#include "reactor/base/internal/check.h"
#include "reactor/base/internal/poison.h"
#include "reactor/base/log.h"
#include "reactor/http/internal/http_connection.h"
#include "reactor/http/internal/response_writer.h"

namespace reactor::http {

// ---- The request ----

void Exchange::expect_content(const Request& request, Content its_use) {
  use = its_use;
  chunked = request.chunked;
  missing = request.content_length;
  reading = true;
  begun = stream.loop().now();
}

std::span<std::byte> Exchange::read_buffer(std::span<std::byte> input) const noexcept {
  if (!reading || paused) return input;
  const std::span<std::byte> scratch = stream.loop().scratch();
  const std::uint64_t wanted = chunked ? kChunkedRead : missing;
  return scratch.first(std::clamp<std::uint64_t>(wanted, input.size(), scratch.size()));
}

TimePoint Exchange::content_deadline(const Options& options) const noexcept {
  const TimePoint deadline = saturating_add(begun, options.body_timeout);
  if (options.body_rate == 0) return deadline;
  const std::uint64_t earned = received / options.body_rate;
  return saturating_add(
      deadline, std::chrono::seconds(std::min<std::uint64_t>(earned, std::uint64_t{1} << 32U)));
}

void Exchange::pass_on(std::string_view part) {
  if (!on_body) return;
  const PoisonAtExit lent(std::as_bytes(std::span(part)));
  run([&] { on_body(part, false); });
}

void Exchange::pass_on_end() {
  Callback<void(std::string_view, bool)> call = on_body.take();
  if (call) run([&] { call({}, true); });
}

void Exchange::set_on_body(Callback<void(std::string_view, bool)> callback) {
  on_body = std::move(callback);
  if (!wants_continue || head_sent) return;
  wants_continue = false;
  stream.write(kContinue);
}

void Exchange::pause_body() {
  if (!reading || paused) return;
  paused = true;
  paused_at = stream.loop().now();
  connection.proceed_soon(stream);
}

void Exchange::resume_body() {
  if (!reading || !paused) return;
  paused = false;
  begun += stream.loop().now() - paused_at;
  connection.proceed_soon(stream);
}

// ---- The response ----

// Called while the handler runs.
Responder Exchange::defer(const Request& request, AccessLog* log) {
  running = true;
  context = ResponseContext::of(request);
  wants_upgrade = !request.upgrade.empty();
  if (log != nullptr) note = std::make_unique<RequestNote>(*log, request, stream);
  return Responder(*this);
}

void Exchange::send(const Response& response) {
  REACTOR_CHECK(!head_sent);
  settle_keep_alive();
  sent = send_response(stream, connection.date(), response, context);
  complete(sent.reason());
}

void Exchange::begin(const Response& response, std::optional<std::uint64_t> length) {
  REACTOR_CHECK(!head_sent);
  settle_keep_alive();
  ResponseHead head = ResponseHead::of(response, context);
  head.length = length.value_or(0);
  if (has_no_content(head.code)) {
    head.framing = Framing::none;
  } else if (!length) {
    head.framing = head.minor_version == 0 ? Framing::until_close : Framing::chunked;
  }
  if (head.framing == Framing::until_close) head.keep_alive = false;
  const bool wrong = response.failed() || !context.allows(head.code);
  if (wrong || !write_response(stream, connection.date(), head, {})) {
    send(response);  // sends the error
    return;
  }
  head_sent = true;
  framing = head.framing;
  left = head.length;
  sent.status = static_cast<std::int16_t>(head.code);
  sent.keep_alive = head.keep_alive;
}

void Exchange::write(std::string_view piece) {
  REACTOR_CHECK(head_sent);
  if (framing == Framing::none || context.head_only) return;
  if (framing == Framing::length) {
    if (piece.size() > left) {
      REACTOR_LOG(error, "http: more content was written than the length that was announced");
      piece = piece.substr(0, left);
    }
    left -= piece.size();
  }
  sent.bytes += piece.size();
  if (framing == Framing::chunked) {
    write_chunk(stream, piece);
  } else {
    stream.write(piece);
  }
}

void Exchange::finish() {
  REACTOR_CHECK(head_sent);
  if (!context.head_only) {
    if (framing == Framing::chunked) stream.write(kLastChunk);
    if (framing == Framing::length && left > 0) {
      REACTOR_LOG(error, "http: less content was written than the length that was announced");
      stream.fail(make_error_code(std::errc::operation_canceled));
    }
  }
  complete({});
}

void Exchange::abandon() {
  std::string_view reason;
  if (head_sent) {
    stream.fail(make_error_code(std::errc::operation_canceled));
    sent.keep_alive = false;
  } else {
    REACTOR_LOG(error, "http: a request was deferred and its Responder dropped");
    sent = send_error(stream, connection.date(), 500, context.head_only);
    reason = "the handler dropped its Responder";
  }
  complete(reason);
}

void Exchange::drained() {
  if (on_drain) run([this] { on_drain(); });
}

void Exchange::lose_connection() noexcept {
  disconnect();
  if (over) return;
  if (head_sent) log({});
  if (!on_close) return;
  try {
    on_close();
  } catch (...) {
    log_exception("on_close");
  }
}

// Makes the response the last one of the connection if content is unread, or if bytes follow that
// may belong to the requested protocol. Also notes whether the server or the connection is about to
// end anyway.
void Exchange::settle_keep_alive() {
  const bool followed = wants_upgrade && connection.has_input();
  if (reading || followed) context.keep_alive = false;
  context.last = connection.leaves();
}

// Ends the response, which is complete or was abandoned. *this may be gone afterwards.
void Exchange::complete(std::string_view reason) {
  over = true;
  log(reason);
  disconnect();
  connection.drop_if_over(stream);
}

void Exchange::log(std::string_view reason) const {
  if (note != nullptr) note->log(stream.loop().now(), sent, reason);
}

void Exchange::disconnect() noexcept {
  if (responder != nullptr) responder->exchange_ = nullptr;
  responder = nullptr;
}

// Runs a callback. If the callback throws, the connection ends, because the response may be
// incomplete. Also ends this exchange if the callback has completed the response.
template <class Call>
void Exchange::run(Call&& call) {
  running = true;
  try {
    call();
  } catch (...) {
    log_exception("callback");
    stream.fail(make_error_code(std::errc::operation_canceled));
  }
  running = false;
  connection.drop_if_over(stream);
}

}  // namespace reactor::http
