// SPDX-License-Identifier: MIT
// A Stream with extras: how its octets are moved.
#include "reactor/base/check.h"
#include "reactor/net/stream_inside.h"

namespace reactor {

Stream::Extras& Stream::extras() {
  if (extras_ == nullptr) {
    extras_ = std::make_unique<Extras>();
    set(kExtras);
  }
  return *extras_;
}

bool Stream::opening() const noexcept { return has(kExtras) && extras_->opening; }

void Stream::set_transport(std::unique_ptr<Transport> transport) {
  REACTOR_CHECK(!has(kStarted) && !opening() && transport != nullptr);
  if (!transport->can_read()) set(kPeerEnded);
  Extras& extras = this->extras();
  extras.transport = std::move(transport);
  extras.again = loop().deferred(
      [this] {
        if (attached() && !has(kNoRead)) read_slowly();
      },
      context_->place(place_));
}

void Stream::open_transport() {
  Extras& extras = *extras_;
  if (!extras.opening) {
    extras.opening = true;
    loop().arm(*this, saturating_add(loop().start_time(), extras.transport->open_limit()));
  }
  const IoResult result = extras.transport->open(fd());
  if (result.would_block()) {
    attach();
  } else if (!result.ok()) {
    fail(result.end() ? std::make_error_code(std::errc::connection_reset)
                      : extras.transport->error(result));
  } else {
    extras.opening = false;
    loop().disarm(*this);
    open_here(true);
  }
}

Interest Stream::slow_interest() const noexcept {
  const Transport* const transport = extras_->transport.get();
  const Interest reading = transport == nullptr ? Interest::read : transport->read_needs();
  if (extras_->opening) return reading;
  Interest interest = Interest::none;
  if (!has(kNoRead)) interest = reading;
  if (!has(kQueued)) return interest;
  return interest | (transport == nullptr ? Interest::write : transport->write_needs());
}

void Stream::on_ready_slowly(Ready ready) {
  Extras& extras = *extras_;
  if (extras.opening) {
    open_transport();
    return;
  }
  const Transport* const transport = extras.transport.get();
  const Interest reading = transport == nullptr ? Interest::read : transport->read_needs();
  const Interest writing = transport == nullptr ? Interest::write : transport->write_needs();
  if (any(ready.bits() & writing) && flush_queue() == Alive::no) return;
  clear(kMoreInput);
  if (any(ready.bits() & reading) && !has(kNoRead)) read_slowly();
}

Stream::Alive Stream::read_slowly() {
  Transport* const transport = extras_->transport.get();
  const std::span<std::byte> buffer = handler_->read_buffer(*this);
  const IoResult result =
      transport == nullptr ? Socket::receive(fd(), buffer) : transport->read(fd(), buffer);
  if (result.end()) return peer_ended();
  if (result.is_error()) {
    fail(transport == nullptr ? result.error() : transport->error(result));
    return Alive::yes;
  }
  const std::size_t count = result.count();
  if (count == 0) {
    update_interest();
    return Alive::yes;
  }
  if (count == buffer.size()) set(kMoreInput);
  touch(loop().now());
  if (call([&] { handler_->on_data(*this, buffer.first(count)); }) == Alive::no) return Alive::no;
  update_interest();
  return Alive::yes;
}

// For what the transport has read ahead there will be no event.
void Stream::read_again() {
  const Extras& extras = *extras_;
  if (extras.transport == nullptr || extras.opening || has(kNoRead)) return;
  if (extras.transport->has_input()) extras_->again.schedule();
}

// An error has ended the Stream, and is would-block for the caller.
IoResult Stream::send_slowly(std::span<const std::byte> bytes) {
  Extras& extras = *extras_;
  if (extras.opening) return IoResult::blocked();
  Transport* const transport = extras.transport.get();
  const IoResult result =
      transport == nullptr ? Socket::send(fd(), bytes) : transport->write(fd(), bytes);
  if (result.ok() || result.would_block()) return result;
  fail(transport == nullptr ? result.error() : transport->error(result));
  return IoResult::blocked();
}

bool Stream::flush_slowly() {
  const bool moved = queue_ != nullptr && flush_buffer(queue_);
  if (queue_ != nullptr || has(kFailed)) return moved;
  clear(kQueued);
  end_writing();
  return moved;
}

// Once everything is written, and nothing more will be.
void Stream::end_writing() {
  Extras& extras = *extras_;
  if (extras.transport == nullptr || extras.opening || extras.ended_writing) return;
  if (!has(kClosing | kShutdown) || has(kQueued | kFailed)) return;
  if (!extras.transport->end_writing(fd()).would_block()) {
    extras.ended_writing = true;
    return;
  }
  set(kQueued);
  arm_timer();
  update_interest();
}

}  // namespace reactor
