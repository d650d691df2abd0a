// SPDX-License-Identifier: MIT
// The part of Stream that lets another process go on with its connection.
#include <vector>

#include "reactor/base/check.h"
#include "reactor/net/context.h"
#include "reactor/net/stream.h"

namespace reactor {

Stream::Moved Stream::migrate(Successor& successor) {
  REACTOR_CHECK(context_->active == nullptr);
  if (has(kClosing | kPeerEnded | kShutdown | kOpensSoon) || queue_ != nullptr) {
    return Moved::not_idle;
  }
  std::vector<std::byte> state;
  const Migration wish = handler_->on_migrate(*this, state);
  if (wish != Migration::now) return wish == Migration::later ? Moved::not_idle : Moved::never;
  const Successor::Answer answer = successor.take(fd(), state);
  if (answer == Successor::Answer::busy) return Moved::no_room;
  if (answer == Successor::Answer::never) return Moved::never;
  loop().detach(*this, Detach::staying);
  set(kClosing);
  finish();
  return Moved::done;
}

}  // namespace reactor
