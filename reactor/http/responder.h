// SPDX-License-Identifier: MIT
// Responder: the answer that a handler gives later, or piece by piece.
//
//   [&](const Request&, Response& response) {
//     waiting.push_back(response.defer());           // later: waiting.front().send(answer);
//   }
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "reactor/base/callback.h"

namespace reactor::http {

class Response;
struct Exchange;

// Made by Response::defer(). Movable; belongs to the loop's thread; any callback may call it.
// Requests of the same connection that come meanwhile wait, so that answers leave in order.
//
// One that is destroyed with nothing sent answers with a 500; one that is destroyed amid an answer
// ends the connection with a reset, so that nobody takes the part for the whole. A Responder that
// has answered, or whose client is gone, is dead: it tests as false, and its calls do nothing.
class Responder {
 public:
  // Dead from the start; only for assignment.
  Responder() noexcept = default;
  Responder(Responder&& other) noexcept;
  Responder& operator=(Responder&& other) noexcept;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  // Whether somebody still waits for (the rest of) the answer.
  explicit operator bool() const noexcept { return exchange_ != nullptr; }

  // The whole answer. One in which mistakes were made (Response::failed()) becomes a 500.
  void send(const Response& response);

  // The head of an answer whose content follows by write(); response.content() is not sent. With a
  // length the client learns it (Content-Length) and exactly so many octets must follow; else the
  // content is chunked, or, with HTTP/1.0, ends with the connection.
  void begin(const Response& response, std::optional<std::uint64_t> length = std::nullopt);
  // Content, only after begin(). Dropped in answer to HEAD, and with 204 and 304.
  void write(std::string_view content);
  // The end of the content. Where less than the length announced was written the connection is
  // reset.
  void finish();

  // Whether little is queued: stop producing while it is not, and go on at on_drain(). Octets
  // beyond StreamOptions::queue_limit end the connection.
  [[nodiscard]] bool writable() const noexcept;
  void on_drain(Callback<void()> callback);

  // Called when the connection ended before the answer was complete; the Responder is dead by then.
  // Not called if the server was destroyed.
  void on_close(Callback<void()> callback);

  // The content of a request for which Options::on_head chose Content::stream: `part` is valid
  // until return; the last call has `last` set and maybe no octets. Set it in the handler, or
  // content is dropped. Sends the 100 (Continue) that a client waits for.
  void on_body(Callback<void(std::string_view part, bool last)> callback);
  // Lets the client wait with the rest of its content, and go on.
  void pause_body();
  void resume_body();

 private:
  friend class Connection;
  friend struct Exchange;
  explicit Responder(Exchange& exchange) noexcept;

  Exchange* exchange_ = nullptr;
};

}  // namespace reactor::http
