// SPDX-License-Identifier: MIT
#include "reactor/http/event_stream.h"

#include <algorithm>
#include <utility>

#include "reactor/http/response.h"

namespace reactor::http {
namespace {

constexpr std::string_view kLineEnds("\r\n");

}  // namespace

EventStream::EventStream(Responder responder) : responder_(std::move(responder)) {
  Response head;
  head.content_type("text/event-stream").header("Cache-Control", "no-store");
  responder_.begin(head);
}

bool EventStream::send(std::string_view data, std::string_view event, std::string_view id) {
  constexpr std::string_view kForbidden("\r\n\0", 3);
  if (event.find_first_of(kLineEnds) != event.npos || id.find_first_of(kForbidden) != id.npos) {
    return false;
  }
  text_.clear();
  if (!event.empty()) add_lines("event: ", event);
  if (!id.empty()) add_lines("id: ", id);
  add_lines("data: ", data);
  flush();
  return true;
}

void EventStream::comment(std::string_view text) {
  text_.clear();
  add_lines(": ", text);
  flush();
}

void EventStream::retry(std::chrono::milliseconds delay) {
  text_.clear();
  add_lines("retry: ", std::to_string(delay.count()));
  flush();
}

// Appends each line of the text, with `name` in front of it.
void EventStream::add_lines(std::string_view name, std::string_view text) {
  for (;;) {
    const std::size_t end = std::min(text.find_first_of(kLineEnds), text.size());
    text_.append(name).append(text.substr(0, end)).append("\n");
    if (end == text.size()) return;
    text.remove_prefix(text.substr(end, 2) == "\r\n" ? end + 2 : end + 1);
  }
}

// Sends the collected lines and the empty line that ends an event.
void EventStream::flush() {
  text_.append("\n");
  responder_.write(text_);
}

}  // namespace reactor::http
