// SPDX-License-Identifier: MIT
// Responder: the answer that a handler gives later or piece by piece.
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

// Made by Response::defer(). Movable. Belongs to the loop's thread; any callback may call it. Later
// requests of the same connection wait for the answer, so that answers leave in order.
//
// A Responder that is destroyed before it sent anything answers with a 500. One that is destroyed
// in the middle of an answer resets the connection, so that the client does not take the part for
// the whole. A Responder that has answered, or whose client is gone, is dead: it tests as false and
// its calls do nothing.
class Responder {
 public:
  // Makes a dead Responder, to be assigned to.
  Responder() noexcept = default;
  Responder(Responder&& other) noexcept;
  Responder& operator=(Responder&& other) noexcept;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  // Returns whether the client still waits for the answer or for the rest of it.
  explicit operator bool() const noexcept { return exchange_ != nullptr; }

  // Sends the whole answer. If the handler made a mistake in it (Response::failed()), sends a 500
  // instead.
  void send(const Response& response);

  // Sends the head of an answer whose content follows by write(); response.content() is not sent.
  // If `length` is given, it is sent as Content-Length, and exactly that many bytes must follow.
  // Without it the content is chunked; with HTTP/1.0 it ends with the connection.
  void begin(const Response& response, std::optional<std::uint64_t> length = std::nullopt);
  // Sends content; call it only after begin(). The content is dropped if the request was a HEAD,
  // and with 204 and 304.
  void write(std::string_view content);
  // Ends the content. If fewer bytes than the announced length were written, the connection is
  // reset.
  void finish();

  // Returns whether little is queued. Stop producing while it is false, and go on when on_drain()
  // calls back. More than StreamOptions::queue_limit queued bytes end the connection.
  [[nodiscard]] bool writable() const noexcept;
  void on_drain(Callback<void()> callback);

  // Calls back if the connection ends before the answer is complete. The Responder is dead by then.
  // Not called if the server was destroyed.
  void on_close(Callback<void()> callback);

  // Sets the callback for the content of a request for which Options::on_head chose
  // Content::stream. Set it in the handler; content that comes without it is dropped. `part` is
  // valid until the callback returns. The last call has `last` set; its part may be empty. Also
  // sends the 100 (Continue) for which a client may wait.
  void on_body(Callback<void(std::string_view part, bool last)> callback);
  // Stops and resumes reading the content, so that the client has to wait with the rest.
  void pause_body();
  void resume_body();

 private:
  friend struct Exchange;
  explicit Responder(Exchange& exchange) noexcept;

  Exchange* exchange_ = nullptr;
};

}  // namespace reactor::http
