// SPDX-License-Identifier: MIT
// This file has the functions that end a Stream: shutdown(), close() and fail(); finish(), which
// closes the socket and calls on_close(); abort(); detach(), which gives the socket back; and
// request_shutdown(), which a server calls before it ends.
#include <utility>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

void Stream::shutdown() {
  if (has(kClosing | kShutdown)) return;
  set(kShutdown);
  if (context_->active == this) return;
  send_fin_if_due();
}

// Sends the FIN of shutdown() when nothing is queued any more. Also closes the Stream if the peer
// has half-closed too.
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
  // Unread input would turn the close into a reset. There may be some if the last read left input,
  // if reading is paused, or if input arrives while the queue is written.
  if (has(kMoreInput | kHeldBack | kPaused | kQueued)) set(kLinger);
  set(kClosing);
  if (context_->active == this) return;
  if (has(kExtras)) end_writing();
  if (can_finish()) {
    take_call();
  } else {
    update_interest();
  }
}

void Stream::fail(std::error_code error) noexcept {
  if (has(kFailed | kClosed)) return;
  set(kFailed | kClosing);
  context_->note_failure(*this, error);
  if (context_->active != this) take_call();
}

// Does the work that close(), fail(), detach(), start() or call_soon() left for the loop.
void Stream::on_call() {
  if (can_finish()) {
    finish();
  } else if (has(kClosed)) {  // by detach()
    owner_->on_stream_closed(*this);
  } else if (!has(kStarted)) {
    begin(true);  // start() was called inside a callback
  } else {
    clear(kFixedDeadline);
    arm_timer();  // first, in case the handler throws
    if (!has(kClosing)) call([this] { handler_->on_call(*this); });
  }
}

// Makes the loop call on_call(): for an end, because on_close() must not run inside close() or
// write(), and for call_soon().
void Stream::take_call() noexcept {
  set(kFixedDeadline);  // so that no time limit replaces the call
  loop().call_soon(*this);
}

void Stream::call_soon() noexcept {
  if (has(kStarted) && !has(kClosing)) take_call();
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
  set(kUnattached);
  NetContext& context = *context_;
  const auto tell = [this, error, &context] {
    handler_->on_close(*this, error);
    if (context.active == this && owner_ != nullptr) owner_->on_stream_closed(*this);
  };
  if (run(tell) == Alive::no) return Alive::no;
  context.active = nullptr;
  context.announced.erase(this);
  clear(kUnattached);
  return Alive::yes;
}

void Stream::drop_input() {
  Transport* const transport = this->transport();
  const std::span<std::byte> scratch = loop().scratch();
  const IoResult result = transport == nullptr
                              ? Socket::receive(fd(), scratch)
                              : ask_transport([&] { return transport->read(fd(), scratch); });
  if (result.end()) {
    set(kPeerEnded);
    update_interest();
  } else if (result.is_error()) {
    fail(transport == nullptr ? result.error() : transport->error(result));
  }
}

void Stream::release_socket() {
  // With a transport, our descriptor may be a copy of one that stays open elsewhere
  // (open_shared_pipe()). Closing the copy would then not remove it from the poller.
  loop().detach(*this, has(kLinger | kExtras) ? Detach::staying : Detach::closing);
  loop().disarm(*this);
  UniqueFd socket(fd());
  set_fd(-1);
  if (has(kLinger)) context_->lingerers.add(std::move(socket), *options_);
}

// ---- Other ways to end ----

void Stream::abort() {
  if (has(kClosed)) return;
  Socket::reset_on_close(fd());
  fail(std::make_error_code(std::errc::connection_aborted));
}

Result<Socket> Stream::detach() {
  if (transport() != nullptr) return Errc::not_supported;
  if (context_->active == this) send_batch();
  if (has(kClosing) || !has(kStarted)) return std::make_error_code(std::errc::not_connected);
  if (has(kQueued)) return std::make_error_code(std::errc::device_or_resource_busy);
  loop().detach(*this, Detach::staying);
  loop().disarm(*this);
  if (has(kExtras)) extras_->end();
  Socket socket{UniqueFd(fd())};
  set_fd(-1);
  set(kClosing | kClosed);
  if (context_->active == this) set(kUnattached);
  context_->announced.erase(this);
  if (owner_ != nullptr) loop().call_soon(*this);  // the loop tells the owner
  return socket;
}

void Stream::request_shutdown() {
  if (!has(kStarted)) {
    set(kAskedToEnd);
    return;
  }
  // The peer sent the input that has arrived by now before it could know of the shutdown, so that
  // input is read first.
  const bool reads = attached() && !context_->in_callback() && !has(kNoRead | kMoreInput);
  if (reads && read_turn() == Alive::no) return;
  if (has(kClosing)) return;
  set(kAskedToEnd);
  const auto ask = [this] { handler_->on_shutdown(*this); };
  if (context_->in_callback()) {
    ask();  // after_callback() carries out what on_shutdown() decides
  } else {
    call(ask);
  }
}

}  // namespace reactor
