// SPDX-License-Identifier: MIT
// This file has the part of Connection that reads requests and calls the handler.
//
//   on_data -> take_input -> take_requests -+-> take_request -> handle
//                                           |      +-> begin_content -> ...
//                                           +-> feed -> take_content -> content_whole -> handle
//
// In the common case all requests of one read are parsed in the loop's scratch buffer and handled
// there. Only unfinished input is copied at the end of a read: a part of a head into partial_; a
// head whose content is still to come, with the content so far, into exchange_.
//
// The path of a request without content is one inlined function, so that the arguments that its
// steps pass to each other cost nothing. Code that such a request does not need is kept out of
// line.
#include "reactor/http/internal/http_connection.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "reactor/base/internal/poison.h"
#include "reactor/base/log.h"
#include "reactor/http/internal/response_writer_inline.h"

namespace reactor::http {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

constexpr Refusal kTooMuch{413, "more content than is collected"};

Refusal refusal_of(const ParseResult& result, std::string_view input) {
  Refusal why{result.status, result.reason};
  if (result.consumed == ParseResult::kWhole) return why;
  why.offset = result.consumed;
  if (result.consumed < input.size()) why.byte = input[result.consumed];
  return why;
}

// Reports a wrong byte of content without its offset, because offsets in content are not counted.
Refusal refusal_of(const ChunkedDecoder::Step& step, std::string_view rest) {
  Refusal why{step.status, step.reason};
  if (!rest.empty()) why.byte = rest.front();
  return why;
}

// Makes the response the last one if bytes follow a request with Upgrade, because they may belong
// to the requested protocol (RFC 9931).
void note_followed_upgrade(Request& request, std::string_view input) {
  if (!input.empty() && !request.upgrade.empty()) request.keep_alive = false;
}

}  // namespace

// ---- Requests ----

std::span<std::byte> Connection::read_buffer(Stream&) {
  if (exchange_ == nullptr) [[likely]]
    return shared_->input;
  return exchange_->read_buffer(shared_->input);
}

void Connection::on_open(Stream& stream) {
  stream.set_deadline(saturating_add(stream.loop().now(), shared_->options.header_timeout));
  clock_ = Clock::request;
}

void Connection::on_data(Stream& stream, std::span<std::byte> bytes) {
  try {
    take_input(stream, bytes);
  } catch (const std::bad_alloc&) {
    give_up(stream);
  }
  if (idle() && clock_ == Clock::idle && !input_paused_) [[likely]]
    return;
  settle(stream);
}

[[gnu::always_inline]] inline void Connection::take_input(Stream& stream,
                                                          std::span<const std::byte> bytes) {
  if (partial_ == nullptr && !waits(stream)) [[likely]] {
    const std::string_view rest = take_requests(stream, text_of(bytes));
    if (rest.empty() || stream.closing()) return;
    partial_ = std::make_unique<ByteBuffer>();
    partial_->append(bytes_of(rest));
    return;
  }
  if (partial_ == nullptr) partial_ = std::make_unique<ByteBuffer>();
  partial_->append(bytes);
  if (!waits(stream)) take_partial(stream);
}

[[gnu::noinline]] void Connection::take_partial(Stream& stream) {
  // While this function handles the requests in the buffer, it owns the buffer: code that handles a
  // request expects an empty partial_, as in an idle connection.
  std::unique_ptr<ByteBuffer> earlier = std::move(partial_);
  if (earlier == nullptr || stream.closing()) return;
  std::size_t left = 0;
  try {
    left = take_requests(stream, text_of(earlier->data())).size();
  } catch (const std::bad_alloc&) {
    return give_up(stream);
  }
  earlier->consume(earlier->size() - left);
  if (left > 0) partial_ = std::move(earlier);
}

// Decides what to wait for next, after input was taken or a response was sent. Either closes the
// connection, or sets its timeout and pauses or resumes reading.
void Connection::settle(Stream& stream) {
  if (stream.closing() || &stream.handler() != this) return;
  const bool waiting = waits(stream);
  if (stream.ended() && !waiting) {  // no more input will come
    stream.close();
    return;
  }
  set_clock(stream);
  const bool full = waiting && partial_ != nullptr && partial_->size() >= Shared::kHeldInput;
  if (full == input_paused_) [[likely]]
    return;
  input_paused_ = full;
  full ? stream.pause_reading() : stream.resume_reading();
}

// Takes the input in partial_, then decides what to wait for next. Each callback of the Stream that
// can end a wait calls this function last, so no input is forgotten in partial_.
void Connection::proceed(Stream& stream) {
  if (!waits(stream)) take_partial(stream);
  settle(stream);
}

// Does what proceed() does, but for a call of a Responder. A handler may be running then, and a
// second handler must not run inside it. So the input in partial_ is taken later, by on_call().
void Connection::proceed_soon(Stream& stream) {
  if (taking_) return;  // take_requests() continues by itself
  if (waits(stream) || (partial_ == nullptr && !stream.ended())) {
    settle(stream);
    return;
  }
  clock_ = Clock::soon;
  stream.call_soon();
}

inline bool Connection::waits(const Stream& stream) const noexcept {
  if (!stream.writable()) return true;
  return exchange_ != nullptr && (exchange_->paused || !exchange_->reading);
}

// Takes requests and content off the input. `input` must not be empty, and waits() must be false.
[[gnu::always_inline]] inline std::string_view Connection::take_requests(Stream& stream,
                                                                         std::string_view input) {
  taking_ = true;
  do {
    const bool more = exchange_ != nullptr ? feed(stream, input) : take_request(stream, input);
    if (!more) break;
  } while (!input.empty() && !stream.closing() && !waits(stream));
  taking_ = false;
  return input;
}

[[gnu::always_inline]] inline bool Connection::call_handler(Stream& stream, Request& request,
                                                            Response& response) {
  Handler& handler = shared_->handler;
  response.reset();
  response.connection_ = this;
  response.stream_ = &stream;
  response.request_ = &request;
  bool well = true;
  try {
    handler(request, response);
  } catch (...) {
    well = false;
    log_exception("handler");
  }
  response.connection_ = nullptr;
  if (exchange_ != nullptr) exchange_->running = false;
  return well;
}

[[gnu::always_inline]] inline void Connection::handle(Stream& stream, Request& request,
                                                      std::string_view& input) {
  Shared& shared = *shared_;
  if (clock_ == Clock::request) clock_ = Clock::stale;
  if (shared.requests_left != 0 && --shared.requests_left == 0) [[unlikely]]
    shared.limit_reached.schedule();
  Response& response = shared.response;
  const bool well = call_handler(stream, request, response);
  if (!well || response.deferred_ || response.next_ != nullptr || exchange_ != nullptr)
      [[unlikely]] {
    respond_otherwise(stream, request, response, input, well);
    return;
  }
  const SentResponse sent =
      send_response_inline(stream, shared.date, response, ResponseContext::of(request, leaves()));
  if (shared.options.access_log != nullptr) [[unlikely]]
    log_response(stream, request, sent, sent.reason());
  // A client that expects the connection to stay open may be sending its next request already. So
  // the close lingers then.
  if (!sent.keep_alive) {
    stream.close(!input.empty() || ResponseContext::of(request).may_be_followed());
  }
}

// Not inlined, to keep the path of a request without content short.
[[gnu::noinline]] void Connection::handle_with_content(Stream& stream, Request& request,
                                                       std::string_view& input) {
  handle(stream, request, input);
}

// Takes one request from the front of `input`.
[[gnu::always_inline]] inline bool Connection::take_request(Stream& stream,
                                                            std::string_view& input) {
  Request& request = shared_->request;
  const ParseResult result = shared_->parser.parse(input, progress_, request);
  if (result.incomplete()) return false;
  if (result.error()) {
    request = {};  // drops the views of an unfinished parse
    refuse(stream, request, refusal_of(result, input));
    return false;
  }
  const std::string_view head = input.substr(0, result.consumed);
  input.remove_prefix(result.consumed);
  // The handler has views of these bytes, but only until it returns.
  const PoisonAtExit lent_head(bytes_of(head));
  const PoisonAtExit lent_fields(std::as_bytes(request.fields));
  if (!result.plain) [[unlikely]] {
    if (request.has_body()) return begin_content(stream, request, head, input);
    note_followed_upgrade(request, input);
  }
  handle(stream, request, input);
  return true;
}

// ---- Content ----

bool Connection::begin_content(Stream& stream, Request& request, std::string_view head,
                               std::string_view& input) {
  Response& response = shared_->response;
  const Content use = choose_use(request, response);
  if (stream.closing()) return false;  // on_head destroyed the server
  if (use == Content::refuse) {
    respond_and_close(stream, request, response);
    return false;
  }
  if (use == Content::collect && request.content_length > shared_->options.collected_body) {
    refuse(stream, request, kTooMuch);
    return false;
  }
  // If the whole content is here already, the request needs no Exchange.
  if (use != Content::stream && !request.chunked && input.size() >= request.content_length) {
    const std::string_view body = input.substr(0, request.content_length);
    const PoisonAtExit lent(bytes_of(body));
    if (use == Content::collect) request.body = body;
    input.remove_prefix(request.content_length);
    note_followed_upgrade(request, input);
    handle_with_content(stream, request, input);
    return true;
  }
  exchange_ = std::make_unique<Exchange>(*this, stream);
  exchange_->expect_content(request, use);
  exchange_->wants_continue = request.expect_continue && input.empty();
  clock_ = Clock::stale;  // set_content_deadline() sets another one
  if (use == Content::stream) return begin_stream(stream, request, input);
  exchange_->saved_head.append(bytes_of(head));
  if (exchange_->wants_continue) stream.write(kContinue);
  return feed(stream, input);
}

// Calls the handler before the content arrives.
bool Connection::begin_stream(Stream& stream, Request& request, std::string_view& input) {
  handle_with_content(stream, request, input);
  return exchange_ == nullptr || waits(stream) || feed(stream, input);
}

Content Connection::choose_use(const Request& request, Response& response) {
  if (!shared_->options.on_head) return Content::collect;
  response.reset();
  try {
    return shared_->options.on_head(request, response);
  } catch (...) {
    log_exception("on_head");
  }
  response.reset();
  response.status(500);
  return Content::refuse;
}

// Takes bytes of content off the input.
bool Connection::feed(Stream& stream, std::string_view& input) {
  return exchange_->chunked ? feed_chunked(stream, input) : feed_counted(stream, input);
}

bool Connection::feed_counted(Stream& stream, std::string_view& input) {
  const std::size_t take = std::min<std::uint64_t>(exchange_->missing, input.size());
  const std::string_view part = input.substr(0, take);
  input.remove_prefix(take);
  exchange_->missing -= take;
  if (!part.empty() && !take_content(stream, part)) return false;
  return exchange_->missing == 0 && content_whole(stream, input);
}

bool Connection::feed_chunked(Stream& stream, std::string_view& input) {
  using State = ChunkedDecoder::State;
  while (!exchange_->paused) {
    const ChunkedDecoder::Step step = exchange_->decoder.next(input, shared_->options.limits);
    input.remove_prefix(step.consumed);
    if (step.state == State::error) refuse_content(stream, refusal_of(step, input));
    if (step.state == State::done) return content_whole(stream, input);
    if (step.state != State::data || !take_content(stream, step.data)) return false;
  }
  return false;
}

// Collects a piece of content, or passes it to the handler. Returns false if the exchange or the
// connection is over.
bool Connection::take_content(Stream& stream, std::string_view part) {
  Exchange& exchange = *exchange_;
  exchange.received += part.size();
  if (exchange.use == Content::collect) {
    if (exchange.content.size() + part.size() > shared_->options.collected_body) {
      refuse_content(stream, kTooMuch);
      return false;
    }
    exchange.content.append(bytes_of(part));
  } else {
    exchange.pass_on(part);
  }
  return exchange_ != nullptr && !stream.closing();
}

// Parses the saved head again, because the request's views pointed into an earlier read.
Request& Connection::parse_again(std::string_view head) {
  ParseProgress progress;
  static_cast<void>(shared_->parser.parse(head, progress, shared_->request));
  return shared_->request;
}

// Refuses a request amid its content.
void Connection::refuse_content(Stream& stream, const Refusal& why) {
  if (exchange_->head_sent) {  // a response has begun and can't be replaced
    stream.fail(make_error_code(std::errc::operation_canceled));
    return;
  }
  ByteBuffer& head = exchange_->saved_head;
  if (head.empty()) return refuse(stream, {}, why);
  refuse(stream, parse_again(text_of(head.data())), why);  // the log needs the request
}

bool Connection::content_whole(Stream& stream, std::string_view& input) {
  exchange_->reading = false;
  if (exchange_->use == Content::stream) {
    if (exchange_->wants_upgrade && !input.empty()) exchange_->context.keep_alive = false;
    exchange_->pass_on_end();
    return true;
  }
  const std::unique_ptr<Exchange> whole = std::move(exchange_);
  Request& request = parse_again(text_of(whole->saved_head.data()));
  const PoisonAtExit lent_fields(std::as_bytes(request.fields));
  request.body = text_of(whole->content.data());
  note_followed_upgrade(request, input);
  handle_with_content(stream, request, input);
  return true;
}

// ---- Other events ----

void Connection::on_end(Stream& stream) { proceed(stream); }

void Connection::on_drain(Stream& stream) {
  if (exchange_ != nullptr) exchange_->drained();
  proceed(stream);
}

void Connection::on_call(Stream& stream) {
  if (clock_ == Clock::soon) clock_ = Clock::stale;
  proceed(stream);
}

void Connection::on_timeout(Stream& stream) {
  if (idle() && progress_.fresh()) {
    stream.close();
  } else {
    refuse_late(stream);
  }
}

void Connection::refuse_late(Stream& stream) {
  try {
    if (exchange_ != nullptr) return refuse_content(stream, {408, "content too slow"});
    refuse(stream, {}, {408, "no whole head in time"});
  } catch (const std::bad_alloc&) {
    give_up(stream);
  }
}

void Connection::set_clock(Stream& stream) {
  const Options& options = shared_->options;
  if (idle()) [[likely]] {
    if (clock_ == Clock::idle) return;
    if (leaves()) return leave(stream);
    stream.set_idle_timeout(options.keep_alive);
    clock_ = Clock::idle;
    stream.notify_idle();
  } else if (waits(stream)) {
    if (clock_ == Clock::none || clock_ == Clock::soon) return;  // set already
    stream.set_idle_timeout(Duration::zero());
    clock_ = Clock::none;
  } else if (exchange_ != nullptr) {
    set_content_deadline(stream);
  } else if (clock_ != Clock::request) {
    stream.set_deadline(saturating_add(stream.loop().now(), options.header_timeout));
    clock_ = Clock::request;
  }
}

void Connection::set_content_deadline(Stream& stream) {
  const Options& options = shared_->options;
  if (clock_ == Clock::request && options.body_rate == 0) return;  // the deadline doesn't move
  stream.set_deadline(exchange_->content_deadline(options));
  clock_ = Clock::request;
}

}  // namespace reactor::http
