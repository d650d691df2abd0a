// SPDX-License-Identifier: MIT
// The half of Connection that reads requests; answering.cc has the half that answers.
//
// In the common case all requests of one read are parsed in the loop's scratch buffer and answered
// from there. Only unfinished input is copied at the end of a read: a part of a head into partial_;
// a head whose content is still to come, with the content so far, into exchange_.
#include "reactor/http/internal/http_connection.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "reactor/base/internal/poison.h"
#include "reactor/base/log.h"
#include "reactor/http/internal/status.h"

namespace reactor::http {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The state of a connection that moves to another process: one byte of version, then the
// milliseconds left as four bytes, the least significant first. Later versions append to it.
constexpr std::byte kStateVersion{1};
constexpr std::size_t kStateSize = 5;

std::vector<std::byte> write_wait(Duration left) {
  using std::chrono::milliseconds;
  const auto clamped = std::clamp(std::chrono::duration_cast<milliseconds>(left), milliseconds(0),
                                  milliseconds(UINT32_MAX));
  std::vector<std::byte> state{kStateVersion};
  for (unsigned shift = 0; shift < 32; shift += 8) {
    state.push_back(static_cast<std::byte>(clamped.count() >> shift));
  }
  return state;
}

std::optional<Duration> read_wait(std::span<const std::byte> state) {
  if (state.size() < kStateSize || state[0] != kStateVersion) return std::nullopt;
  std::uint32_t wait = 0;
  for (std::size_t i = kStateSize - 1; i > 0; --i) {
    wait = (wait << 8) | std::to_integer<std::uint32_t>(state[i]);
  }
  return std::chrono::milliseconds(wait);
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

constexpr Refusal kTooMuch{413, "more content than is collected"};

Refusal refusal_of(const ParseResult& result, std::string_view input) {
  Refusal why{result.status, result.reason};
  if (result.consumed == ParseResult::kWhole) return why;
  why.place = result.consumed;
  if (result.consumed < input.size()) why.byte = input[result.consumed];
  return why;
}

// A wrong byte of content is reported without its offset, which is not counted.
Refusal refusal_of(const ChunkedDecoder::Step& step, std::string_view rest) {
  Refusal why{step.status, step.reason};
  if (!rest.empty()) why.byte = rest.front();
  return why;
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
  // The buffer is owned here meanwhile: requests taken from it must find partial_ empty, as in an
  // idle connection.
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

// Decides what to wait for next, after input was taken or an answer was given: closes the
// connection, or sets its clock and pauses or resumes reading.
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

// Takes up partial_, then decides what to wait for next. Every callback of the Stream that may end
// a wait ends with this call, so no input is left behind in partial_.
void Connection::go_on(Stream& stream) {
  if (!waits(stream)) take_partial(stream);
  settle(stream);
}

// Does what go_on() does when a Responder was called. A handler may be running, and no handler is
// called inside another handler's call, so on_timeout() takes up partial_.
void Connection::go_on_soon(Stream& stream) {
  if (taking_) return;  // take_requests() goes on by itself
  if (waits(stream) || (partial_ == nullptr && !stream.ended())) {
    settle(stream);
    return;
  }
  clock_ = Clock::soon;
  stream.set_deadline(TimePoint{});
}

inline bool Connection::waits(const Stream& stream) const noexcept {
  if (!stream.writable()) return true;
  return exchange_ != nullptr && (exchange_->paused || !exchange_->reading);
}

// Takes requests and content off the input. Requires that `input` is not empty and waits() is
// false.
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

// Takes one request from the front of `input`.
[[gnu::always_inline]] inline bool Connection::take_request(Stream& stream,
                                                            std::string_view& input) {
  Request& request = shared_->request;
  const ParseResult result = shared_->parser.parse(input, progress_, request);
  if (result.incomplete()) return false;
  if (result.error()) {
    request = {};  // may hold parts of an unfinished parse
    refuse(stream, refusal_of(result, input));
    return false;
  }
  const std::string_view head = input.substr(0, result.consumed);
  input.remove_prefix(result.consumed);
  // Lent to the handler; what is needed later was copied.
  const PoisonAtExit lent_head(bytes_of(head));
  const PoisonAtExit lent_fields(std::as_bytes(request.fields));
  if (!result.plain) [[unlikely]] {
    if (request.has_body()) return begin_content(stream, head, input);
    note_followed_upgrade(input);
  }
  answer(stream, input);
  return true;
}

// Makes the answer the last one if bytes follow a request with Upgrade: they may belong to the
// requested protocol (RFC 9931).
void Connection::note_followed_upgrade(std::string_view input) {
  if (!input.empty() && !shared_->request.upgrade.empty()) shared_->request.keep_alive = false;
}

// ---- Content ----

bool Connection::begin_content(Stream& stream, std::string_view head, std::string_view& input) {
  Request& request = shared_->request;
  const Content how = content_of();
  if (stream.closing()) return false;  // on_head destroyed the server
  if (how == Content::refuse) {
    refuse_content(stream);
    return false;
  }
  if (how == Content::collect && request.content_length > shared_->options.collected_body) {
    refuse(stream, kTooMuch);
    return false;
  }
  // The whole content is here already, so the request needs no Exchange.
  if (how != Content::stream && !request.chunked && input.size() >= request.content_length) {
    const std::string_view body = input.substr(0, request.content_length);
    const PoisonAtExit lent(bytes_of(body));
    if (how == Content::collect) request.body = body;
    input.remove_prefix(request.content_length);
    note_followed_upgrade(input);
    answer(stream, input);
    return true;
  }
  exchange_ = std::make_unique<Exchange>(*this, stream);
  Exchange& exchange = *exchange_;
  exchange.how = how;
  exchange.chunked = request.chunked;
  exchange.missing = request.content_length;
  exchange.reading = true;
  exchange.begun = stream.loop().now();
  clock_ = Clock::stale;  // set_content_deadline() sets another one
  exchange.wants_continue = request.expect_continue && input.empty();
  if (how == Content::stream) return begin_stream(stream, input);
  exchange.head.append(bytes_of(head));
  if (exchange.wants_continue) stream.write(kContinue);
  return feed(stream, input);
}

// Calls the handler before the content arrives.
bool Connection::begin_stream(Stream& stream, std::string_view& input) {
  answer(stream, input);
  return exchange_ == nullptr || waits(stream) || feed(stream, input);
}

Content Connection::content_of() {
  if (!shared_->options.on_head) return Content::collect;
  Response& response = shared_->response;
  response.reset();
  try {
    return shared_->options.on_head(shared_->request, response);
  } catch (...) {
    log_exception("on_head");
  }
  response.reset();
  response.status(500);
  return Content::refuse;
}

// Takes the bytes of the pending content off the input.
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
    if (step.state == State::error) refuse(stream, refusal_of(step, input));
    if (step.state == State::done) return content_whole(stream, input);
    if (step.state != State::data || !take_content(stream, step.data)) return false;
  }
  return false;
}

// Passes on or collects a piece of content. Returns false if the exchange or the connection is
// over.
bool Connection::take_content(Stream& stream, std::string_view part) {
  Exchange& exchange = *exchange_;
  exchange.received += part.size();
  if (exchange.how == Content::collect) {
    if (exchange.content.size() + part.size() > shared_->options.collected_body) {
      refuse(stream, kTooMuch);
      return false;
    }
    exchange.content.append(bytes_of(part));
  } else if (exchange.on_body) {
    const PoisonAtExit lent(bytes_of(part));
    run(exchange, [&] { exchange.on_body(part, false); });
  }
  return exchange_ != nullptr && !stream.closing();
}

// Parses the saved head again: the request's views pointed into an earlier read.
void Connection::parse_again(Exchange& exchange) {
  ParseProgress progress;
  static_cast<void>(
      shared_->parser.parse(text_of(exchange.head.data()), progress, shared_->request));
}

bool Connection::content_whole(Stream& stream, std::string_view& input) {
  exchange_->reading = false;
  if (exchange_->how == Content::stream) {
    if (exchange_->wants_upgrade && !input.empty()) exchange_->answer.keep_alive = false;
    Callback<void(std::string_view, bool)> call = exchange_->on_body.take();
    if (call) run(*exchange_, [&] { call({}, true); });
    return true;
  }
  const std::unique_ptr<Exchange> whole = std::move(exchange_);
  parse_again(*whole);
  const PoisonAtExit lent_fields(std::as_bytes(shared_->request.fields));
  shared_->request.body = text_of(whole->content.data());
  note_followed_upgrade(input);
  answer(stream, input);
  return true;
}

// An exception ends the connection, because nobody knows how much of the exchange was done.
template <class Call>
void Connection::run(Exchange& exchange, Call&& call) {
  Stream& stream = exchange.stream;
  exchange.running = true;
  try {
    call();
  } catch (...) {
    log_exception("callback");
    stream.fail(make_error_code(std::errc::operation_canceled));
  }
  exchange.running = false;
  drop_if_over(stream);
}

// ---- Other events ----

void Connection::on_end(Stream& stream) { go_on(stream); }

void Connection::on_drain(Stream& stream) {
  if (exchange_ != nullptr && exchange_->on_drain) {
    run(*exchange_, [&exchange = *exchange_] { exchange.on_drain(); });
  }
  go_on(stream);
}

void Connection::on_timeout(Stream& stream) {
  if (clock_ == Clock::soon) {
    clock_ = Clock::stale;
    go_on(stream);
  } else if (idle() && progress_.fresh()) {
    stream.close();
  } else {
    refuse_late(stream);
  }
}

void Connection::refuse_late(Stream& stream) {
  shared_->request = {};
  try {
    refuse(stream, {408, exchange_ == nullptr ? "no whole head in time" : "content too slow"});
  } catch (const std::bad_alloc&) {
    give_up(stream);
  }
}

void Connection::on_shutdown(Stream& stream) {
  leaving_ = true;
  if (idle()) leave(stream);  // else set_clock() does it after the answer
}

// Migrates only between requests. The only state to pass on is then the time left for the wait for
// the next request.
HandOver Connection::on_hand_over(Stream& stream, std::vector<std::byte>& state) {
  if (!idle() || !progress_.fresh()) return HandOver::later;
  state = write_wait(stream.time_left());
  return HandOver::now;
}

// Goes on with the wait for the next request. A state that can't be read is from another version of
// the program; the wait then starts anew.
void Connection::on_adopt(Stream& stream, std::span<const std::byte> state) {
  const Duration keep_alive = shared_->options.keep_alive;
  const Duration left = read_wait(state).value_or(keep_alive);
  if (keep_alive <= Duration::zero()) return;
  stream.set_deadline(saturating_add(stream.loop().now(), std::min(left, keep_alive)));
  clock_ = Clock::stale;
}

StreamHandler* Connection::adopting_handler() {
  auto& adopt = shared_->adopt_upgraded;
  return adopt ? adopt() : nullptr;
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

// Allows body_timeout, and one second more for each `body_rate` bytes that came.
void Connection::set_content_deadline(Stream& stream) {
  const Options& options = shared_->options;
  if (clock_ == Clock::request && options.body_rate == 0) return;  // the deadline doesn't move
  TimePoint deadline = saturating_add(exchange_->begun, options.body_timeout);
  if (options.body_rate > 0) {
    const std::uint64_t earned = exchange_->received / options.body_rate;
    deadline = saturating_add(
        deadline, std::chrono::seconds(std::min<std::uint64_t>(earned, std::uint64_t{1} << 32U)));
  }
  stream.set_deadline(deadline);
  clock_ = Clock::request;
}

}  // namespace reactor::http
