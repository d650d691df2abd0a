// SPDX-License-Identifier: MIT
// This file has the slow path of a Stream that has Extras: its transport opens and ends here, and
// its bytes are moved within its rates.
#include <algorithm>

#include "reactor/base/internal/check.h"
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

std::uint64_t Stream::bytes_read() const noexcept {
  return has(kExtras) ? extras_->wire.bytes_read() : 0;
}
std::uint64_t Stream::bytes_written() const noexcept {
  return has(kExtras) ? extras_->wire.bytes_written() : 0;
}

// ---- The transport's beginning and end ----

Transport* Stream::transport() const noexcept {
  return has(kExtras) ? extras_->wire.transport() : nullptr;
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
        if (attached() && !has(kNoRead)) read_turn();
      },
      context_->place(place_));
  if (!transport->can_read()) set(kPeerEnded);
  extras.wire.set_transport(std::move(transport));
  extras.step.stream = this;
}

void Stream::open_transport() {
  Extras& extras = *extras_;
  if (!extras.opening) {
    extras.opening = true;
    set_main_due(saturating_add(loop().start_time(), extras.wire.transport()->open_limit()));
  }
  if (!extras.wire.transport()->open_is_costly()) {
    continue_opening();
    return;
  }
  context_->openings().add(extras.step);
  if (attached()) update_interest();
}

void Stream::continue_opening() {
  if (can_finish()) return;
  Extras& extras = *extras_;
  const IoResult result = ask_transport([&] { return extras.wire.transport()->open(fd()); });
  if (result.would_block()) {
    attach();
  } else if (!result.ok()) {
    wire_failed(result);
  } else {
    extras.opening = false;
    set_main_due(Deadlines::kNever);
    open_here(extras.likely_readable);
  }
}

// Ends the Stream after an error of its Wire, or an end where none may be.
void Stream::wire_failed(IoResult result) {
  const std::error_code error = extras_->wire.error(result);
  if (transport() != nullptr) report_failure(error);
  fail(error);
}

// Logs why the transport failed, because the handler often does not: most handlers ignore why a
// client's connection ended, and a server's handler gets no on_open() for a connection whose
// handshake failed.
void Stream::report_failure(std::error_code error) const {
  const auto peer_name = [this] {
    const Result<Address> peer = this->peer();
    return peer ? peer->to_string() : "an unknown peer";
  };
  REACTOR_LOG(debug, (opening() ? "handshake with " : "connection with ") + peer_name() +
                         " failed: " + error.message());
}

// Calls the transport's end_writing() when everything is written and no more writes are accepted.
// If it would block, kQueued makes the Stream call it again when the descriptor is ready.
void Stream::end_writing() {
  Extras& extras = *extras_;
  if (extras.wire.transport() == nullptr || before_opening() || extras.ended_writing) return;
  if (!has(kClosing | kShutdown) || has(kQueued | kFailed)) return;
  const NetContext::NoCallbacks guard(*context_);
  if (!extras.wire.transport()->end_writing(fd()).would_block()) {
    extras.ended_writing = true;
    return;
  }
  set(kQueued);
  arm_timer();
  update_interest();
}

// ---- What the Stream waits for ----

// Returns what the descriptor must be ready for before the next read; `none` while the read rate
// makes the Stream wait.
Interest Stream::read_needs() const noexcept {
  if (!has(kExtras)) return Interest::read;
  return extras_->read_waits ? Interest::none : extras_->wire.read_needs();
}

// Returns the same for the next write, with the write rate.
Interest Stream::write_needs() const noexcept {
  if (!has(kExtras)) return Interest::write;
  return extras_->write_waits ? Interest::none : extras_->wire.write_needs();
}

// Reads again in this turn if the transport has read ahead: the poller reports no event for such
// input.
void Stream::read_again() {
  const Extras& extras = *extras_;
  if (extras.wire.transport() == nullptr || extras.opening || extras.read_waits || has(kNoRead))
    return;
  if (extras.wire.transport()->has_input()) extras_->again.schedule();
}

// ---- Moving bytes ----

// Reads once, within the rate. Afterwards the Stream may wait for something else.
Stream::Alive Stream::read_turn() {
  if (!has(kExtras)) return read_once();
  const bool allowed = extras_->wire.may_read(loop().start_time()) > 0;
  if (allowed && read_once() == Alive::no) return Alive::no;
  update_interest();
  return Alive::yes;
}

// Returns the part of `buffer` that the rate allows us to fill. If that is nothing, returns all of
// `buffer`: receive_by_wire() reads nothing then anyway, and read_once() would take an empty buffer
// for a handler that lent none, and pause reading.
std::span<std::byte> Stream::within_rate(std::span<std::byte> buffer) const noexcept {
  const std::size_t allowed = extras_->wire.may_read(loop().start_time());
  return allowed == 0 ? buffer : buffer.first(std::min(buffer.size(), allowed));
}

IoResult Stream::receive_by_wire(std::span<std::byte> buffer) {
  const TimePoint now = loop().start_time();
  const IoResult result = ask_transport([&] { return extras_->wire.receive(fd(), buffer, now); });
  if (!result.ok()) return result;
  extras_->deadlines.was_read();
  touch(now);
  watch_times();  // read_buffer() may have made the Extras, so nobody else begins the next wait
  return result;
}

// Sends by the Wire. An error ends the Stream, and the caller sees would-block.
IoResult Stream::send_by_wire(std::span<const std::byte> bytes) {
  Extras& extras = *extras_;
  if (before_opening()) return IoResult::blocked();
  const IoResult result =
      ask_transport([&] { return extras.wire.send(fd(), bytes, loop().start_time()); });
  if (result.count() > 0) extras.deadlines.was_written();
  if (result.ok() || result.would_block()) return result;
  wire_failed(result);
  return IoResult::blocked();
}

}  // namespace reactor
