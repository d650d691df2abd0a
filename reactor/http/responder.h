// SPDX-License-Identifier: MIT
// Responder sends a response later, or piece by piece.
//
//   [&](const Request&, Response& response) {
//     waiting.push_back(response.defer());         // later: waiting.front().send(Response()...);
//   }
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "reactor/base/callback.h"

namespace reactor::http {

class Response;
struct Exchange;

// Response::defer() makes a Responder. A Responder is movable, and belongs to the loop's thread.
// Any callback may call its functions. Later requests of the same connection wait for the response,
// so responses leave in order.
//
// If a Responder is destroyed before it sent anything, the client gets a 500. If it is destroyed in
// the middle of a response, the connection is reset, so that the client can't mistake the part for
// the whole. A Responder is dead when its response is complete or its client is gone. It then
// converts to false, and its functions do nothing.
class Responder {
 public:
  // Makes a dead Responder, for a later assignment.
  Responder() noexcept = default;
  Responder(Responder&& other) noexcept;
  Responder& operator=(Responder&& other) noexcept;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  ~Responder();

  // Returns whether the client still waits for the response or for the rest of it.
  explicit operator bool() const noexcept { return exchange_ != nullptr; }

  // Sends the whole response, or a 500 if the handler made a mistake in it (Response::failed()).
  void send(const Response& response);

  // Sends the head of a response. write() sends its content; response.content() is not sent. If
  // `length` is given, it is sent as Content-Length, and exactly that many bytes must follow.
  // Otherwise the content is chunked or, to an HTTP/1.0 client, ends where the connection ends.
  void begin(const Response& response, std::optional<std::uint64_t> length = std::nullopt);
  // Sends content. Call it only after begin(). The content is dropped if the request was a HEAD or
  // the status is 204 or 304.
  void write(std::string_view content);
  // Ends the content. If fewer bytes than the announced length were written, the connection is
  // reset.
  void finish();

  // Returns whether the queue has room. Stop producing while this returns false, and continue when
  // on_drain() calls back. If more than StreamOptions::queue_limit bytes are queued, the connection
  // is closed.
  [[nodiscard]] bool writable() const noexcept;
  void on_drain(Callback<void()> callback);

  // Sets a callback for the case that the connection ends before the response is complete. The
  // Responder is dead by then. The callback is not called if the server was destroyed.
  void on_close(Callback<void()> callback);

  // Sets the callback for the content of a request for which Options::on_head chose
  // Content::stream. Set it in the handler, because content that arrives while no callback is set
  // is dropped. `part` is valid until the callback returns. The last call has `last` set, and its
  // part may be empty. Setting the callback also sends the 100 (Continue) if the client waits for
  // it.
  void on_body(Callback<void(std::string_view part, bool last)> callback);
  // pause_body() stops reading the content, and resume_body() continues. In between, the client
  // can't send the rest of the content.
  void pause_body();
  void resume_body();

 private:
  friend struct Exchange;
  explicit Responder(Exchange& exchange) noexcept;

  Exchange* exchange_ = nullptr;
};

}  // namespace reactor::http
