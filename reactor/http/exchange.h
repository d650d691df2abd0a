// SPDX-License-Identifier: MIT
// Exchange: a request and its answer, where they take longer than one read. Private to http/.
//
//   reading: content is still to come        answering: the handler was called, its Responder is
//   (collected, streamed or discarded)       not done
//
// A streamed request may be in both states at once; the exchange ends with its answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/callback_slot.h"
#include "reactor/base/clock.h"
#include "reactor/http/answer.h"
#include "reactor/http/body.h"
#include "reactor/http/options.h"
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

  // Where to read to: for content a part of the loop's scratch, else `input`, which is shorter.
  // Content is not kept with the connection, but what comes behind it is; where chunked content
  // ends is not known.
  [[nodiscard]] std::span<std::byte> read_buffer(std::span<std::byte> input) const noexcept;

  Connection& connection;
  Stream& stream;

  // Of the request.
  ByteBuffer head;     // what the request's views point to, where the handler is yet to be called
  ByteBuffer content;  // collected so far
  ChunkedDecoder decoder;
  std::uint64_t missing = 0;   // of content with a Content-Length
  std::uint64_t received = 0;  // octets of content
  TimePoint begun{};           // when the content was first waited for, less the pauses
  TimePoint paused_at{};
  Content how = Content::collect;
  bool chunked = false;
  bool reading = false;
  bool paused = false;  // by pause_body()
  bool wants_continue = false;
  bool wants_upgrade = false;
  CallbackSlot<void(std::string_view, bool)> on_body;

  // Of the answer.
  Responder* responder = nullptr;
  CallbackSlot<void()> on_drain;
  Callback<void()> on_close;
  AnswerContext answer;
  std::unique_ptr<RequestNote> note;  // where requests are logged
  int status = 0;                     // of the head that was sent
  std::uint64_t sent = 0;             // octets of content
  Framing framing = Framing::none;
  std::uint64_t left = 0;  // of a length that was announced
  bool answering = false;
  bool keep_alive = false;  // the connection goes on after it
  bool head_sent = false;
  bool over = false;     // answered; kept until the callback that runs has returned
  bool running = false;  // one of its callbacks
};

}  // namespace reactor::http
