// SPDX-License-Identifier: MIT
// EventStream: Server-Sent Events (WHATWG HTML, section 9.2) on a deferred answer.
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
// Movable; belongs to the loop's thread. Destroying it ends the answer in good order.
class EventStream {
 public:
  // Sends the head: text/event-stream, not to be cached.
  explicit EventStream(Responder responder);
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&&) = delete;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream() { responder_.finish(); }

  // Whether the client is still there.
  explicit operator bool() const noexcept { return static_cast<bool>(responder_); }

  // One event. `data` may have several lines, ended by LF, CR or CRLF. False, and nothing is sent,
  // where `event` or `id` contains a line end or `id` a NUL.
  bool send(std::string_view data, std::string_view event = {}, std::string_view id = {});
  // Sent and ignored by clients: keeps middleboxes from closing an idle connection.
  void comment(std::string_view text = {});
  // How long the client waits before it connects again.
  void retry(std::chrono::milliseconds delay);

  // As Responder's.
  [[nodiscard]] bool writable() const noexcept { return responder_.writable(); }
  void on_drain(Callback<void()> callback) { responder_.on_drain(std::move(callback)); }
  void on_close(Callback<void()> callback) { responder_.on_close(std::move(callback)); }

 private:
  void add_lines(std::string_view name, std::string_view text);
  void flush();

  Responder responder_;
  std::string text_;  // of the event that is being made
};

}  // namespace reactor::http
