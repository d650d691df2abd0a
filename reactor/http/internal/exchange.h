// SPDX-License-Identifier: MIT
// Exchange: a request and its answer, if they take longer than one read. Private to http/.
//
//   reading: content is still to come        answering: the handler was called, its Responder has
//   (collected, streamed or discarded)       not finished
//
// A streamed request may be in both states at once. The exchange ends with its answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/clock.h"
#include "reactor/base/held_callback.h"
#include "reactor/http/http_options.h"
#include "reactor/http/internal/parse/body.h"
#include "reactor/http/internal/response_head.h"
#include "reactor/http/responder.h"

namespace reactor {
class Stream;
}

namespace reactor::http {

class Connection;

struct Exchange {
  static constexpr std::size_t kChunkedRead = 16 * 1024;

  Exchange(Connection& its_connection, Stream& its_stream) noexcept
      : connection(its_connection), stream(its_stream) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    if (responder != nullptr) responder->exchange_ = nullptr;
  }

  // Returns the memory for the next read: for content a part of the loop's scratch, else `input`,
  // which is shorter. Content is used at once, but bytes after it are kept in the connection, so
  // the read is no longer than the missing content. Chunked content has no known end; kChunkedRead
  // limits its reads.
  [[nodiscard]] std::span<std::byte> read_buffer(std::span<std::byte> input) const noexcept;

  Connection& connection;
  Stream& stream;

  // The request.
  ByteBuffer head;     // the head, for views of a handler that is yet to be called
  ByteBuffer content;  // the content collected so far
  ChunkedDecoder decoder;
  std::uint64_t missing = 0;   // bytes still to come, if it has a Content-Length
  std::uint64_t received = 0;  // bytes of content that came
  TimePoint begun{};           // start of the wait for content, moved on by the time of pauses
  TimePoint paused_at{};
  Content how = Content::collect;
  bool chunked = false;
  bool reading = false;
  bool paused = false;  // by pause_body()
  bool wants_continue = false;
  bool wants_upgrade = false;
  HeldCallback<void(std::string_view, bool)> on_body;

  // The answer.
  Responder* responder = nullptr;
  HeldCallback<void()> on_drain;
  Callback<void()> on_close;
  AnswerContext answer;
  std::unique_ptr<RequestNote> note;  // only if requests are logged
  int status = 0;                     // of the head that was sent
  std::uint64_t sent = 0;             // bytes of content that were written
  Framing framing = Framing::none;
  std::uint64_t left = 0;  // bytes of the announced length still to be written
  bool answering = false;
  bool keep_alive = false;  // the connection goes on after this exchange
  bool head_sent = false;
  bool over = false;     // answered; kept until the running callback has returned
  bool running = false;  // the handler or one of the callbacks is running
};

}  // namespace reactor::http
