// SPDX-License-Identifier: MIT
// The half of Connection that answers, at once or through a Responder. connection.cc has the half
// that reads requests.
#include <algorithm>
#include <exception>
#include <string>

#include "reactor/base/internal/check.h"
#include "reactor/base/log.h"
#include "reactor/http/access_log.h"
#include "reactor/http/internal/http_connection.h"
#include "reactor/http/internal/response_writer.h"
#include "reactor/http/internal/status.h"

namespace reactor::http {
namespace {

std::string name_of_peer(const Stream& stream) {
  const Result<Address> peer = stream.peer();
  return peer ? peer->to_string() : "a peer that is gone";
}

}  // namespace

// Not inlined: the strings that are built here would slow down every answer. If there is no memory
// for them, only the line is lost; the caller goes on.
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

// ---- Answers at once ----

[[gnu::always_inline]] inline bool Connection::call_handler(Stream& stream) {
  Response& response = shared_->response;
  response.reset();
  response.connection_ = this;
  shared_->stream = &stream;
  bool well = true;
  try {
    shared_->handler(shared_->request, response);
  } catch (...) {
    well = false;
    log_exception("handler");
  }
  response.connection_ = nullptr;
  if (exchange_ != nullptr) exchange_->running = false;
  return well;
}

// Writes the answer, or an error in place of one that is wrong. Returns whether the connection may
// take another request.
[[gnu::always_inline]] inline bool Connection::respond(Stream& stream, const Response& response,
                                                       AnswerContext to) {
  const int code = response.code();
  // A 2xx to CONNECT would announce a tunnel, which only Response::upgrade() makes.
  if (response.failed() || (to.connect && code < 300)) [[unlikely]] {
    respond_with_error(stream, response.failed() ? 500 : 501, to.head_only);
    return false;
  }
  const bool no_content = has_no_content(code);
  const std::string_view content = no_content ? std::string_view{} : response.content();
  const AnswerHead head{.framing = no_content ? Framing::none : Framing::length,
                        .length = content.size(),
                        .minor_version = to.minor_version,
                        .keep_alive = to.keep_alive && !response.closes() && !leaves()};
  const std::string_view sent = to.head_only ? std::string_view{} : content;
  if (write_answer_inline(stream, shared_->date, response, head, sent)) [[likely]] {
    if (shared_->options.access_log != nullptr) [[unlikely]]
      log_answer(stream, code, sent.size());
    return head.keep_alive;
  }
  respond_with_error(stream, 500, to.head_only);
  return false;
}

void Connection::answer(Stream& stream, std::string_view& input) {
  if (clock_ == Clock::request) clock_ = Clock::stale;
  if (shared_->requests_left != 0 && --shared_->requests_left == 0) [[unlikely]]
    shared_->limit_reached.schedule();
  const bool well = call_handler(stream);
  const Response& response = shared_->response;
  if (!well || response.deferred_ || response.next_ != nullptr || exchange_ != nullptr)
      [[unlikely]] {
    answer_otherwise(stream, input, well);
    return;
  }
  const AnswerContext to = AnswerContext::of(shared_->request);
  // A client that expects the connection to go on may be sending its next request already.
  if (!respond(stream, response, to)) {
    stream.close(!input.empty() || to.keep_alive || asks_to_tunnel());
  }
}

[[gnu::noinline]] bool Connection::respond_slowly(Stream& stream, const Response& response,
                                                  AnswerContext to) {
  return respond(stream, response, to);
}

// Handles every handler call that did not end in a plain answer: it deferred the answer, upgraded
// the connection, threw, or ignored content that is still to come.
[[gnu::noinline]] void Connection::answer_otherwise(Stream& stream, std::string_view& input,
                                                    bool well) {
  const Response& response = shared_->response;
  if (response.deferred_) {
    if (!well && exchange_ != nullptr && !exchange_->over) abandon(*exchange_);
    drop_if_over(stream);
  } else if (!well) {
    refuse(stream, {500, "the handler threw"});
  } else if (response.next_ != nullptr && !response.failed()) {
    hand_over(stream, input);
    input = {};
  } else {  // a plain answer, while content is still to come
    AnswerContext to = AnswerContext::of(shared_->request);
    to.keep_alive = to.keep_alive && exchange_ == nullptr;
    exchange_.reset();
    static_cast<void>(respond_slowly(stream, response, to));
    stream.close(true);
  }
}

// Sends the answer to an upgrade or CONNECT and makes the new handler the Stream's.
void Connection::hand_over(Stream& stream, std::string_view rest) {
  const Response& response = shared_->response;
  StreamHandler& next = *response.next_;
  const AnswerHead head{.framing = Framing::none,
                        .keep_alive = true,
                        .upgrade = shared_->request.method != Method::connect};
  if (exchange_ != nullptr || !write_answer(stream, shared_->date, response, head, {})) {
    refuse(stream, {500, "an upgrade amid content, or with too many fields"});
    return;
  }
  log_answer(stream, response.code(), 0);
  stream.set_handler(next);
  stream.set_idle_timeout(Duration::zero());
  if (input_paused_) stream.resume_reading();
  try {
    catch_up(stream, rest);
  } catch (...) {  // the calls that did not come any more would be missing
    stream.fail(make_error_code(std::errc::operation_canceled));
    throw;
  }
}

// Opens the Stream for its new handler, and repeats what was told to the Connection only. The
// handler may close the Stream, or set another handler, in each of these calls.
void Connection::catch_up(Stream& stream, std::string_view rest) {
  stream.handler().on_open(stream);
  if (!rest.empty() && !stream.closing()) {
    // The bytes are in a buffer of ours that is not const, and the handler that gets them may
    // change them.
    auto* const bytes = reinterpret_cast<std::byte*>(const_cast<char*>(rest.data()));
    stream.handler().on_data(stream, {bytes, rest.size()});
  }
  if (stream.ended() && !stream.closing()) stream.handler().on_end(stream);
  if (stream.asked_to_end() && !stream.closing()) stream.handler().on_shutdown(stream);
}

// Sends one error answer. Reads nothing after the request, because its end is unknown.
void Connection::refuse(Stream& stream, const Refusal& why) {
  // An answer has begun and can't be replaced.
  if (exchange_ != nullptr && exchange_->head_sent) {
    stream.fail(make_error_code(std::errc::operation_canceled));
    return;
  }
  // The log needs the request, whose views are no longer valid.
  if (exchange_ != nullptr && !exchange_->head.empty()) parse_again(*exchange_);
  REACTOR_LOG(debug, "refused a request from " + name_of_peer(stream) + " with " +
                         std::to_string(why.status) + ": " + why.text());
  const bool logged = shared_->options.access_log != nullptr;
  send_error(stream, why.status, false, logged ? why.text() : std::string());
  stream.close(true);
}

// Sends the response that on_head filled in (Content::refuse).
void Connection::refuse_content(Stream& stream) {
  AnswerContext to = AnswerContext::of(shared_->request);
  to.keep_alive = false;
  static_cast<void>(respond_slowly(stream, shared_->response, to));
  stream.close(true);
}

// Answers in place of a handler that made a mistake (500) or does not handle CONNECT (501).
[[gnu::noinline]] void Connection::respond_with_error(Stream& stream, int status, bool head_only) {
  if (status == 500) {
    REACTOR_LOG(error,
                "http handler: status out of 200..599, forbidden or too many octets in a "
                "field, or an upgrade that nobody asked for");
  }
  send_error(stream, status, head_only,
             status == 500 ? "the handler made a mistake" : "CONNECT is not handled");
}

// Allocates nothing, so that it works also without memory and in the destructor of a Responder.
// `reason` is for the access log.
void Connection::send_error(Stream& stream, int status, bool head_only, std::string_view reason) {
  Response error;
  error.status(status).body_in_place(reason_phrase(status));
  error.prepared_ = "Content-Type: text/plain\r\n";
  const AnswerHead head{.length = error.content().size()};
  const std::string_view sent = head_only ? std::string_view{} : error.content();
  static_cast<void>(write_answer(stream, shared_->date, error, head, sent));
  log_refusal(stream, status, sent.size(), reason);
}

[[gnu::noinline]] void Connection::log_answer(Stream& stream, int status, std::uint64_t octets) {
  log_refusal(stream, status, octets, {});
}

// Logs the exchange that is in progress, if it has a note, else the request in Shared.
void Connection::log_refusal(Stream& stream, int status, std::uint64_t octets,
                             std::string_view reason) {
  AccessLog* const log = shared_->options.access_log;
  if (log == nullptr) return;
  AccessLog::Entry entry;
  entry.status = status;
  entry.octets = octets;
  entry.reason = reason;
  std::optional<Address> peer;
  if (exchange_ != nullptr && exchange_->note != nullptr) {
    const RequestNote& note = *exchange_->note;
    entry.minor_version = exchange_->answer.minor_version;
    entry.method_token = note.method_token;
    entry.target = note.target;
    entry.referer = note.referer;
    entry.user_agent = note.user_agent;
    entry.time = stream.loop().now() - note.begun;
    peer = note.peer;
  } else {
    const Request& request = shared_->request;
    entry.minor_version = request.minor_version;
    entry.method_token = request.method_token;
    entry.target = request.target;
    entry.referer = request.field("Referer").value_or("");
    entry.user_agent = request.field("User-Agent").value_or("");
    if (const Result<Address> address = stream.peer()) peer = *address;
  }
  if (peer) entry.peer = &*peer;
  log->add(entry);
}

// ---- Answers through a Responder ----

Responder Connection::defer() {
  if (exchange_ == nullptr) exchange_ = std::make_unique<Exchange>(*this, *shared_->stream);
  exchange_->answering = true;
  exchange_->running = true;  // the handler is running
  exchange_->answer = AnswerContext::of(shared_->request);
  exchange_->wants_upgrade = asks_to_upgrade();
  if (shared_->options.access_log != nullptr) {
    exchange_->note = std::make_unique<RequestNote>(shared_->request, exchange_->stream);
  }
  return Responder(*exchange_);
}

bool Connection::asks_to_upgrade() const noexcept { return !shared_->request.upgrade.empty(); }
bool Connection::asks_to_tunnel() const noexcept {
  return shared_->request.method == Method::connect;
}

// Makes the answer the last one of the connection if content is unread, or if the bytes that follow
// may belong to the requested protocol.
void Connection::keep_from_going_on(Exchange& exchange) {
  const bool followed = exchange.wants_upgrade && partial_ != nullptr;
  if (exchange.reading || followed) exchange.answer.keep_alive = false;
}

void Connection::send(Exchange& exchange, const Response& response) {
  REACTOR_CHECK(!exchange.head_sent);
  keep_from_going_on(exchange);
  exchange.keep_alive = respond_slowly(exchange.stream, response, exchange.answer);
  answered(exchange);
}

void Connection::begin(Exchange& exchange, const Response& response,
                       std::optional<std::uint64_t> length) {
  REACTOR_CHECK(!exchange.head_sent);
  keep_from_going_on(exchange);
  const AnswerContext& to = exchange.answer;
  AnswerHead head{.minor_version = to.minor_version};
  head.length = length.value_or(0);
  if (has_no_content(response.code())) {
    head.framing = Framing::none;
  } else if (!length) {
    head.framing = to.minor_version == 0 ? Framing::until_close : Framing::chunked;
  }
  head.keep_alive =
      to.keep_alive && !response.closes() && !leaves() && head.framing != Framing::until_close;
  const bool wrong = response.failed() || (to.connect && response.code() < 300);
  if (wrong || !write_answer(exchange.stream, shared_->date, response, head, {})) {
    exchange.keep_alive = respond_slowly(exchange.stream, response, to);  // sends the error
    answered(exchange);
    return;
  }
  exchange.head_sent = true;
  exchange.status = response.code();
  exchange.framing = head.framing;
  exchange.left = head.length;
  exchange.keep_alive = head.keep_alive;
}

void Connection::write(Exchange& exchange, std::string_view content) {
  REACTOR_CHECK(exchange.head_sent);
  if (exchange.framing == Framing::none || exchange.answer.head_only) return;
  if (exchange.framing == Framing::length) {
    if (content.size() > exchange.left) {
      REACTOR_LOG(error, "http: more content was written than the length that was announced");
      content = content.substr(0, exchange.left);
    }
    exchange.left -= content.size();
  }
  exchange.sent += content.size();
  if (exchange.framing == Framing::chunked) {
    write_chunk(exchange.stream, content);
  } else {
    exchange.stream.write(content);
  }
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
    send_error(exchange.stream, 500, exchange.answer.head_only,
               "the handler dropped its Responder");
  }
  exchange.keep_alive = false;
  answered(exchange);
}

// The answer is complete or was abandoned: logs it and disconnects the Responder.
void Connection::answered(Exchange& exchange) {
  exchange.over = true;
  if (exchange.head_sent) log_answer(exchange.stream, exchange.status, exchange.sent);
  if (exchange.responder != nullptr) exchange.responder->exchange_ = nullptr;
  exchange.responder = nullptr;
  drop_if_over(exchange.stream);
}

// Ends the exchange if it was answered. Does nothing while one of its callbacks runs, and is called
// again when that returns.
void Connection::drop_if_over(Stream& stream) {
  if (exchange_ == nullptr || !exchange_->over || exchange_->running) return;
  const std::unique_ptr<Exchange> done = std::move(exchange_);
  if (stream.closing()) return;
  if (!done->keep_alive) {
    stream.close(done->reading || partial_ != nullptr || done->answer.may_be_followed());
  } else {
    go_on_soon(stream);
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
  }
  go_on_soon(exchange.stream);
}

// ---- The end of a connection ----

// Closes an idle connection after a random part of drain_spread.
void Connection::leave(Stream& stream) {
  const Duration spread = shared_->options.drain_spread;
  if (spread <= Duration::zero()) {
    stream.close(true);
    return;
  }
  shared_->spread = shared_->spread * 1664525 + 1013904223;
  const auto share = static_cast<double>(shared_->spread >> 8) / 0x1000000;
  const auto delay = static_cast<Duration::rep>(static_cast<double>(spread.count()) * share);
  stream.set_deadline(saturating_add(stream.loop().now(), Duration(delay)));
  clock_ = Clock::idle;
}

// Ends a connection that has no memory for its input; the others go on. Called in a catch block for
// std::bad_alloc, which our own code threw, or the handler of an upgraded connection. An exception
// of that handler is not ours to handle, so it is rethrown.
[[gnu::noinline]] void Connection::give_up(Stream& stream) {
  if (&stream.handler() != this) throw;
  stream.fail(std::make_error_code(std::errc::not_enough_memory));
}

void Connection::on_close(Stream& stream, std::error_code) noexcept {
  std::unique_ptr<Exchange> exchange = std::move(exchange_);
  if (exchange == nullptr) return;
  if (exchange->responder != nullptr) exchange->responder->exchange_ = nullptr;
  exchange->responder = nullptr;
  if (exchange->over) return;
  if (exchange->head_sent) {
    exchange_ = std::move(exchange);  // log_answer() reads the note in it
    log_answer(stream, exchange_->status, exchange_->sent);
    exchange = std::move(exchange_);
  }
  if (!exchange->on_close) return;
  try {
    exchange->on_close();
  } catch (...) {
    log_exception("on_close");
  }
}

// Disconnects the Responder. Moves the exchange out first, because destroying what its callbacks
// own may destroy this Connection.
void Connection::on_loop_end(Stream&) noexcept {
  const std::unique_ptr<Exchange> dropped = std::move(exchange_);
}

// Not inlined: keeps the path of a request without content short.
std::span<std::byte> Exchange::read_buffer(std::span<std::byte> input) const noexcept {
  if (!reading || paused) return input;
  const std::span<std::byte> scratch = stream.loop().scratch();
  const std::uint64_t wanted = chunked ? kChunkedRead : missing;
  return scratch.first(std::clamp<std::uint64_t>(wanted, input.size(), scratch.size()));
}

}  // namespace reactor::http
