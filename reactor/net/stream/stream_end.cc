// SPDX-License-Identifier: MIT
// The end of a Stream: shutdown(), close() and fail(), and finish(), which closes the socket and
// calls on_close().
#include <utility>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

void Stream::shutdown() {
  if (has(kClosing | kShutdown)) return;
  set(kShutdown);
  if (context_->active == this) return;
  send_fin_if_due();
}

// Also closes the Stream once both sides have half-closed, whichever of them was first.
void Stream::send_fin_if_due() noexcept {
  if (has(kExtras)) end_writing();
  if (!has(kShutdown) || has(kFailed | kQueued) || before_opening()) return;
  if (!has(kFinSent)) {
    set(kFinSent);
    Socket::shutdown_write(fd());
  }
  if (has(kPeerEnded)) close();
}

void Stream::close(bool linger) {
  if (linger) set(kLinger);
  if (has(kClosing)) return;
  // Bytes that arrive while the queue is written, and are not read, would turn the close into a
  // reset.
  if (has(kMoreInput | kHeldBack | kPaused | kQueued)) set(kLinger);
  set(kClosing);
  if (context_->active == this) return;
  if (has(kExtras)) end_writing();
  if (can_finish()) {
    end_soon();
  } else {
    update_interest();
  }
}

void Stream::fail(std::error_code error) noexcept {
  if (has(kFailed | kClosed)) return;
  set(kFailed | kClosing);
  context_->note_failure(*this, error);
  if (context_->active != this) end_soon();
}

// Does what close() or fail(), detach() or start() left for the loop.
void Stream::on_call() {
  if (can_finish()) {
    finish();
  } else if (has(kClosed)) {  // by detach()
    owner_->on_stream_closed(*this);
  } else {
    begin(true);  // start() was called inside a callback
  }
}

// Lets the loop call finish(), as on_close() must not run inside close() or write().
void Stream::end_soon() noexcept {
  set(kFixedDeadline);  // no limit in time replaces the call
  loop().call_soon(*this);
}

Stream::Alive Stream::finish() {
  std::error_code error;
  if (has(kFailed)) {
    error = context_->take_failure(*this);
    clear(kFailed);
    if (has(kQueued)) Socket::reset_on_close(fd());
  }
  if (error || has(kPeerEnded)) clear(kLinger);
  set(kClosed | kClosing);
  clear(kQueued);
  queue_.reset();
  if (has(kExtras)) extras_->end();
  release_socket();
  NetContext& context = *context_;
  // As in call(), the destructor and end() set `active` to null.
  context.active = this;
  set(kUnattached);
  handler_->on_close(*this, error);
  if (context.active == this && owner_ != nullptr) owner_->on_stream_closed(*this);
  const bool destroyed = context.active != this;
  context.active = nullptr;
  context.abandoned = false;
  if (destroyed) return Alive::no;
  context.announced.erase(this);
  clear(kUnattached);
  return Alive::yes;
}

void Stream::drop_input() {
  Transport* const transport = this->transport();
  const std::span<std::byte> scratch = loop().scratch();
  const IoResult result =
      transport == nullptr ? Socket::receive(fd(), scratch) : transport->read(fd(), scratch);
  if (result.end()) {
    set(kPeerEnded);
    update_interest();
  } else if (result.is_error()) {
    fail(transport == nullptr ? result.error() : transport->error(result));
  }
}

void Stream::release_socket() {
  // Another descriptor may refer to the same open file as a transport's (open_shared_pipe()).
  // Closing this one would then not remove it from the poller.
  loop().detach(*this, has(kLinger | kExtras) ? Detach::staying : Detach::closing);
  loop().disarm(*this);
  UniqueFd socket(fd());
  set_fd(-1);
  if (has(kLinger)) context_->lingerers.add(std::move(socket), *options_);
}

}  // namespace reactor
