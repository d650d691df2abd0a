// SPDX-License-Identifier: MIT
// Exchange has a request and its response, if they take longer than one read. Private to http/.
//
//   reading:   content is still to come (collected, streamed or discarded)
//   deferred:  the handler was called, and its Responder has not finished
//
//     send() ---------------------------+
//     begin() -> head_sent -> finish() -+-> over
//     abandon() ------------------------+
//
// A streamed request may be in both states at the same time. The exchange ends with its response.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/clock.h"
#include "reactor/base/held_callback.h"
#include "reactor/http/http_options.h"
#include "reactor/http/internal/parse/body.h"
#include "reactor/http/internal/request_note.h"
#include "reactor/http/internal/response_head.h"
#include "reactor/http/responder.h"

namespace reactor {
class Stream;
}

namespace reactor::http {

class Connection;

struct Exchange {
  Exchange(Connection& its_connection, Stream& its_stream) noexcept
      : connection(its_connection), stream(its_stream) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() { disconnect(); }

  // Responder calls these functions from its own functions of the same names. They may end the
  // exchange.
  void send(const Response& response);
  void begin(const Response& response, std::optional<std::uint64_t> length);
  void write(std::string_view piece);
  void finish();
  void set_on_body(Callback<void(std::string_view, bool)> callback);
  void pause_body();
  void resume_body();
  // Called when the Responder is destroyed without a complete response.
  void abandon();

  // Called by Connection, when the head of a request with content was parsed.
  void expect_content(const Request& request, Content its_use);
  // Called by Connection, when the handler defers the response. `log` is null if there is none.
  [[nodiscard]] Responder defer(const Request& request, AccessLog* log);

  // Returns the memory for the next read: `input` or, if content is to come, a part of the loop's
  // scratch buffer that is at least as long. Content is used immediately, but bytes after it have
  // to be kept in the connection. So the read is no longer than the missing content, but at least
  // as long as `input`. Chunked content has no known end; kChunkedRead limits its reads.
  [[nodiscard]] std::span<std::byte> read_buffer(std::span<std::byte> input) const noexcept;
  // Returns when the wait for content ends: after body_timeout, plus one second for each
  // `body_rate` received bytes.
  [[nodiscard]] TimePoint content_deadline(const Options& options) const noexcept;

  // These functions call the handler's callbacks. *this may be gone afterwards.
  void pass_on(std::string_view part);
  void pass_on_end();
  void drained();
  // Called when the connection is closed. Logs a response that was cut off, and calls on_close.
  void lose_connection() noexcept;

  Connection& connection;
  Stream& stream;

  // The request.
  ByteBuffer saved_head;  // for the handler, which is called when the content is complete
  ByteBuffer content;     // the content collected so far
  ChunkedDecoder decoder;
  std::uint64_t missing = 0;   // bytes still to come, if it has a Content-Length
  std::uint64_t received = 0;  // bytes of content that arrived
  TimePoint begun{};           // start of the wait for content, moved on by the time of pauses
  TimePoint paused_at{};
  Content use = Content::collect;
  bool chunked = false;
  bool reading = false;
  bool paused = false;  // by pause_body()
  bool wants_continue = false;
  bool wants_upgrade = false;
  HeldCallback<void(std::string_view, bool)> on_body;

  // The response.
  Responder* responder = nullptr;
  HeldCallback<void()> on_drain;
  Callback<void()> on_close;
  ResponseContext context;
  std::unique_ptr<RequestNote> note;  // only if requests are logged
  SentResponse sent;                  // what was sent so far
  Framing framing = Framing::none;
  std::uint64_t left = 0;  // bytes of the announced length still to be written
  bool head_sent = false;
  bool over = false;     // the response is complete; kept until the running callback has returned
  bool running = false;  // the handler or one of the callbacks is running

 private:
  static constexpr std::size_t kChunkedRead = 16 * 1024;

  void settle_keep_alive();
  void complete(std::string_view reason);
  void log(std::string_view reason) const;
  void disconnect() noexcept;
  template <class Call>
  void run(Call&& call);
};

}  // namespace reactor::http
