// SPDX-License-Identifier: MIT
// EventStream sends Server-Sent Events (WHATWG HTML, section 9.2) in a deferred response.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/callback.h"
#include "reactor/http/responder.h"

namespace reactor::http {

//   auto events = std::make_unique<EventStream>(response.defer());
//   events->on_close([&] { events.reset(); });
//   events->send("42", "temperature");
//
// An EventStream is movable and belongs to the loop's thread. Its destructor finishes the response.
class EventStream {
 public:
  // Sends the head, with the content type text/event-stream and without permission to cache it.
  explicit EventStream(Responder responder);
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&&) = delete;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream() { responder_.finish(); }

  // Returns whether the client is still connected.
  explicit operator bool() const noexcept { return static_cast<bool>(responder_); }

  // Sends one event. `data` may have several lines, which end in LF, CR or CRLF. Returns false, and
  // sends nothing, if `event` or `id` contains a line end, or if `id` contains a NUL.
  bool send(std::string_view data, std::string_view event = {}, std::string_view id = {});
  // Sends a comment, which clients ignore. It keeps middleboxes from closing an idle connection.
  void comment(std::string_view text = {});
  // Tells the client how long to wait before it reconnects.
  void retry(std::chrono::milliseconds delay);

  // These functions do the same as those of Responder.
  [[nodiscard]] bool writable() const noexcept { return responder_.writable(); }
  void on_drain(Callback<void()> callback) { responder_.on_drain(std::move(callback)); }
  void on_close(Callback<void()> callback) { responder_.on_close(std::move(callback)); }

 private:
  void add_lines(std::string_view name, std::string_view text);
  void flush();

  Responder responder_;
  // The lines of the event that is being built. Each event first clears them, because an earlier
  // event may have run out of memory and left a part here.
  std::string text_;
};

}  // namespace reactor::http
