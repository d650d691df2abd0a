// SPDX-License-Identifier: MIT
// The slow path of a Stream that has Extras: how its transport opens and ends, and how its bytes
// are moved within its rates.
#include <algorithm>

#include "reactor/base/internal/check.h"
#include "reactor/base/internal/poison.h"
#include "reactor/base/log.h"
#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

Stream::Extras& Stream::extras() {
  if (extras_ == nullptr) {
    extras_ = std::make_unique<Extras>();
    if (armed() && !call_waits()) extras_->deadlines.set_main(deadline());
    set(kExtras);
  }
  return *extras_;
}

std::uint64_t Stream::bytes_read() const noexcept { return has(kExtras) ? extras_->bytes_read : 0; }
std::uint64_t Stream::bytes_written() const noexcept {
  return has(kExtras) ? extras_->bytes_written : 0;
}

// ---- The transport's beginning and end ----

Transport* Stream::transport() const noexcept {
  return has(kExtras) ? extras_->transport.get() : nullptr;
}

bool Stream::opening() const noexcept { return has(kExtras) && extras_->opening; }

// Whether a transport has not opened yet. Until it has, only its open() is called.
bool Stream::before_opening() const noexcept { return transport() != nullptr && !has(kStarted); }

void Stream::set_transport(std::unique_ptr<Transport> transport) {
  REACTOR_CHECK(!has(kStarted) && !opening() && transport != nullptr);
  Extras& extras = this->extras();
  static_cast<void>(context_->openings());  // made here, where an exception can be handled
  extras.again = loop().deferred(
      [this] {
        if (attached() && !has(kNoRead)) read_slowly();
      },
      context_->place(place_));
  if (!transport->can_read()) set(kPeerEnded);
  extras.transport = std::move(transport);
  extras.step.stream = this;
}

void Stream::open_transport() {
  Extras& extras = *extras_;
  if (!extras.opening) {
    extras.opening = true;
    set_main_due(saturating_add(loop().start_time(), extras.transport->open_limit()));
  }
  if (!extras.transport->open_is_costly()) {
    continue_opening();
    return;
  }
  context_->openings().add(extras.step);
  if (attached()) update_interest();
}

void Stream::continue_opening() {
  if (can_finish()) return;
  Extras& extras = *extras_;
  const IoResult result = open_once();
  if (result.would_block()) {
    attach();
  } else if (!result.ok()) {
    transport_failed(result);
  } else {
    extras.opening = false;
    set_main_due(Deadlines::kNever);
    open_here(extras.likely_readable);
  }
}

void Stream::transport_failed(IoResult result) {
  const std::error_code error = result.end() ? std::make_error_code(std::errc::connection_reset)
                                             : extras_->transport->error(result);
  report_failure(error);
  fail(error);
}

// Logs why the transport failed. Most handlers ignore why a client's connection ended, and a
// server's handler gets no on_open() for one whose handshake failed.
void Stream::report_failure(std::error_code error) const {
  const auto peer_name = [this] {
    const Result<Address> peer = this->peer();
    return peer ? peer->to_string() : "an unknown peer";
  };
  REACTOR_LOG(debug, (opening() ? "handshake with " : "connection with ") + peer_name() +
                         " failed: " + error.message());
}

// Calls the transport's open(). User code that runs in a handshake, such as the choice of a
// certificate, may throw: the connection fails then.
IoResult Stream::open_once() {
  try {
    return extras_->transport->open(fd());
  } catch (...) {
    fail(std::make_error_code(std::errc::operation_canceled));
    throw;
  }
}

// Calls the transport's end_writing() once everything is written and no more writes are accepted.
// If it would block, kQueued makes the Stream call it again when the descriptor is ready.
void Stream::end_writing() {
  Extras& extras = *extras_;
  if (extras.transport == nullptr || before_opening() || extras.ended_writing) return;
  if (!has(kClosing | kShutdown) || has(kQueued | kFailed)) return;
  if (!extras.transport->end_writing(fd()).would_block()) {
    extras.ended_writing = true;
    return;
  }
  set(kQueued);
  arm_timer();
  update_interest();
}

// ---- What the Stream waits for ----

Interest Stream::slow_interest() const noexcept {
  const Extras& extras = *extras_;
  if (extras.step.waits()) return Interest::none;
  if (extras.opening) return extras.read_needs();
  Interest interest = Interest::none;
  const bool reads = !has(kNoRead) || drops_input();
  if (reads && !extras.read_waits) interest = extras.read_needs();
  if (has(kQueued) && !extras.write_waits) interest = interest | extras.write_needs();
  return interest;
}

void Stream::update_slowly() {
  watch_times();
  if (!attached()) return;
  if (const Result<> result = loop().set_interest(*this, slow_interest()); !result) {
    fail(result.error());
  }
  read_again();
}

// Reads again in this turn if the transport has read ahead: the poller reports no event for such
// input.
void Stream::read_again() {
  const Extras& extras = *extras_;
  if (extras.transport == nullptr || extras.opening || extras.read_waits || has(kNoRead)) return;
  if (extras.transport->has_input()) extras_->again.schedule();
}

void Stream::on_ready_slowly(Ready ready) {
  Extras& extras = *extras_;
  if (extras.opening) {
    extras.likely_readable = true;
    open_transport();
    return;
  }
  const bool reads = any(ready.bits() & extras.read_needs());
  if (any(ready.bits() & extras.write_needs()) && flush_queue() == Alive::no) return;
  clear(kMoreInput);
  if (reads && !has(kNoRead)) {
    read_slowly();
  } else if (reads && drops_input()) {
    drop_input();
  }
}

// ---- Moving bytes ----

Stream::Alive Stream::read_slowly() {
  const TimePoint now = loop().start_time();
  const std::size_t allowance = extras_->read_rate.allowance(now);
  if (allowance == 0) {
    update_interest();
    return Alive::yes;
  }
  const Alive alive = call([&, &context = *context_] {
    const std::span<std::byte> buffer = handler_->read_buffer(*this);
    if (context.active != this) return;
    if (has(kNoRead) || buffer.empty()) return heed(buffer);
    unpoison(buffer);
    const PoisonAtExit lent(context.scratch);
    read_into(buffer.first(std::min(buffer.size(), allowance)), now);
  });
  if (alive == Alive::yes) update_interest();
  return alive;
}

// Runs inside call(). on_data() may destroy the Stream.
void Stream::read_into(std::span<std::byte> buffer, TimePoint now) {
  Extras& extras = *extras_;
  Transport* const transport = extras.transport.get();
  const IoResult result =
      transport == nullptr ? Socket::receive(fd(), buffer) : transport->read(fd(), buffer);
  if (result.is_error() && transport != nullptr) return transport_failed(result);
  if (result.end() || result.is_error()) return input_over(result);
  const std::size_t count = result.count();
  if (count == 0) return;
  if (count == buffer.size()) set(kMoreInput);
  extras.bytes_read += count;
  extras.read_rate.took(count, now);
  extras.deadlines.was_read();
  touch(now);
  handler_->on_data(*this, buffer.first(count));
}

// Sends as much as the rate, the transport or the socket takes. An error ends the Stream, and the
// caller sees would-block.
IoResult Stream::send_slowly(std::span<const std::byte> bytes) {
  Extras& extras = *extras_;
  const TimePoint now = loop().start_time();
  bytes = bytes.first(std::min(bytes.size(), extras.write_rate.allowance(now)));
  if (before_opening() || bytes.empty()) return IoResult::blocked();
  Transport* const transport = extras.transport.get();
  const IoResult result =
      transport == nullptr ? Socket::send(fd(), bytes) : transport->write(fd(), bytes);
  if (result.is_error() || result.end()) {
    transport == nullptr ? fail(result.error()) : transport_failed(result);
    return IoResult::blocked();
  }
  sent(result.count(), now);
  return result;
}

// Counts bytes that were written, towards the rate and the write timeout too.
void Stream::sent(std::size_t count, TimePoint now) noexcept {
  if (count == 0) return;
  extras_->bytes_written += count;
  extras_->write_rate.took(count, now);
  extras_->deadlines.was_written();
}

}  // namespace reactor
