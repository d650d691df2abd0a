// SPDX-License-Identifier: MIT
// The part of Stream for a server that goes away and asks its connections to finish.
#include <algorithm>
#include <vector>

#include "reactor/base/internal/check.h"
#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

void StreamOwner::on_stream_idle(Stream&) noexcept {}

Duration Stream::time_left() const noexcept {
  const TimePoint now = loop().start_time();
  TimePoint due = armed() ? deadline() : Deadlines::kNever;
  if (has(kExtras)) due = extras_->deadlines.main();
  return due == Deadlines::kNever ? kForever : std::max(due, now) - now;
}

// Calls on_open(), and then on_shutdown() if request_shutdown() came before, even if on_open()
// throws.
void Stream::greet() {
  const auto ask = [this, &context = *context_] {
    const bool asked = context.active == this && has(kAskedToEnd) && !has(kClosing);
    if (asked) handler_->on_shutdown(*this);
  };
  call_both([this] { handler_->on_open(*this); }, ask);
}

void Stream::request_shutdown() {
  if (!has(kStarted)) {
    set(kAskedToEnd);
    return;
  }
  // Input that has arrived by now was sent before the peer could know, so it is read first.
  const bool reads = attached() && !context_->in_callback() && !has(kNoRead | kMoreInput);
  if (reads && read_turn() == Alive::no) return;
  if (has(kClosing)) return;
  set(kAskedToEnd);
  const auto ask = [this] { handler_->on_shutdown(*this); };
  if (context_->in_callback()) {
    ask();  // after_callback() does what on_shutdown() decides
  } else {
    call(ask);
  }
}

}  // namespace reactor
