// SPDX-License-Identifier: MIT
// read_buffer() chooses the memory for the next bytes. When they have arrived, on_data() resumes
// the reader or lets it wait on. The cases:
//
//   a read() waits (filler_)        its buffer: the reader resumes at once
//   a read_exactly() waits          its buffer: the reader resumes when the buffer is full
//   another reader waits            input_: the reader resumes when it is satisfied
//   no reader waits                 input_: reading pauses until the next read
//   no reader waits, but a view     none: reading pauses until the next read
//   shows input_
//
// A reader that was woken, but has not resumed yet, does not count as waiting.
#include "reactor/coro/stream_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/internal/check.h"

namespace reactor::coro {
namespace {

// A read into the buffer gets room for as many bytes as the buffer holds already, but for at least
// kLeastPart and at most kLargestPart. So a long text takes few reads.
constexpr std::size_t kLeastPart = 4096;
constexpr std::size_t kLargestPart = 64 * 1024;

}  // namespace

// ---- Waiting readers and writers ----

void StreamState::wait_for(ReadCall& call) noexcept {
  REACTOR_CHECK(reader() == nullptr);  // fails if two coroutines read one stream
  reader_ = &call;
}

void StreamState::forget(ReadCall& call) noexcept {
  call.forget();
  if (call.state != nullptr) call.state->reader_ = call.state->filler_ = nullptr;
}

bool StreamState::settle(ReadCall& call) noexcept {
  if (call.waits()) forget(call);
  return call.failed();
}

std::error_code StreamState::error_of(const ReadCall& call) noexcept {
  switch (call.failure()) {
    case ReadCall::kTooLong:
      return Errc::too_long;
    case ReadCall::kUnexpectedEnd:
      return Errc::unexpected_end;
    case ReadCall::kCanceled:
      return std::make_error_code(std::errc::operation_canceled);
    default:
      return call.state->error();
  }
}

void StreamState::begin(WriteCall& call, std::span<const std::byte> bytes, unsigned flush) {
  call.course = static_cast<std::uint8_t>(WriteCall::kPending | flush);
  call.rest = {this, bytes};
  static_cast<void>(write(call));
}

void StreamState::wait_for(WriteCall& call) noexcept {
  REACTOR_CHECK(writer_ == nullptr);  // fails if two coroutines write one stream
  writer_ = &call;
}

void StreamState::forget(WriteCall& call) noexcept {
  call.forget();
  if (call.rest.state != nullptr) call.rest.state->writer_ = nullptr;
}

std::error_code StreamState::outcome_of(WriteCall& call) noexcept {
  if (call.waits()) forget(call);
  if (!call.failed()) return {};
  const StreamState* const state = call.rest.state;
  if (state == nullptr) return std::make_error_code(std::errc::operation_canceled);
  return state->error() ? state->error() : std::make_error_code(std::errc::broken_pipe);
}

// ---- Lifetime ----

StreamState::StreamState(Loop& loop, Socket socket, const StreamOptions& options,
                         StreamWatcher* watcher, SourceLocation where)
    : stream(loop, std::move(socket), *this, options, nullptr, where),
      context_(Context::of(loop).if_open()),
      watcher_(watcher) {
  if (context_ != nullptr) context_->streams.append(*this);
  if (watcher_ != nullptr) mark(kAbandoned);
}

StreamState::~StreamState() {
  if (StreamWatcher* watcher = std::exchange(watcher_, nullptr)) watcher->on_stream_gone();
}

void StreamState::forget_watcher() noexcept {
  watcher_ = nullptr;
  stream.set_options(default_options());
  if (marked(kAbandoned)) abandon();  // no coro::Stream owns it, and now none ever will
}

const StreamOptions& StreamState::default_options() noexcept {
  static const StreamOptions options;
  return options;
}

void StreamState::set_transport(std::unique_ptr<Transport> transport) {
  if (transport == nullptr) return;
  stream.set_transport(std::move(transport));
  mark(kOpening);
}

// Does nothing for a waiting reader, whose bytes arrive later.
void StreamState::on_open(reactor::Stream&) {
  unmark(kOpening);
  if (watcher_ != nullptr) {
    unmark(kAbandoned);
    watcher_->on_stream_open(*this);
  } else if (writer_ != nullptr && !writer_->woken() && write(*writer_)) {
    resume_writer();
  }
}

// ---- Reading ----

std::span<std::byte> StreamState::read_buffer(reactor::Stream&) {
  if (filler_ != nullptr) [[likely]]
    return filler_->target;
  const bool waits = reader_ != nullptr && !reader_->woken();
  if (waits && reader_->want == ReadCall::Want::exactly) return reader_->target;
  if (marked(kViewed)) return put_off();
  if (input_ == nullptr) input_ = std::make_unique<ByteBuffer>();
  const std::size_t part = std::clamp(input_->size(), kLeastPart, kLargestPart);
  return input_->reserve(part).first(part);
}

// Pauses reading until the next read begins. Until then the program has a view of the buffer, which
// therefore must not change or move.
std::span<std::byte> StreamState::put_off() noexcept {
  mark(kPaused);
  return {};
}

void StreamState::on_data(reactor::Stream&, std::span<std::byte> bytes) {
  if (filler_ == nullptr) [[unlikely]] {
    fill(bytes);
    return;
  }
  ReadCall& reader = *std::exchange(filler_, nullptr);
  reader.count = bytes.size();
  reader.resume();
}

// The bytes are in the memory that read_buffer() returned.
void StreamState::fill(std::span<std::byte> bytes) {
  const bool waits = reader_ != nullptr && !reader_->woken();
  if (!waits || reader_->want != ReadCall::Want::exactly) {
    keep(bytes);
    return;
  }
  reader_->count += bytes.size();
  reader_->target = reader_->target.subspan(bytes.size());
  if (reader_->target.empty()) resume_reader();
}

void StreamState::keep(std::span<std::byte> bytes) {
  input_->commit(bytes.size());
  mark(kInput);
  if (reader_ == nullptr || reader_->woken()) {
    stream.pause_reading();
    mark(kPaused);
  } else if (satisfied(*reader_)) {
    resume_reader();
  }
}

void StreamState::resume_reader() {
  ReadCall& reader = *this->reader();
  filler_ = reader_ = nullptr;
  reader.resume();
}

void StreamState::wake_reader() noexcept {
  if (filler_ != nullptr) reader_ = std::exchange(filler_, nullptr);
  if (reader_ != nullptr) reader_->wake(*context_);
}

// Returns whether the read can be answered without waiting. Also ends the previous read's view.
bool StreamState::prepare(ReadCall& reader) {
  if (marked(kViewed)) {
    input_->consume(std::exchange(viewed_, 0));
    unmark(input_->empty() ? kViewed | kInput : kViewed);
  }
  if (marked(kInput) && satisfied(reader)) return true;
  if (marked(kEnded | kClosed) || (marked(kDraining) && idle(reader))) {
    finish_at_end(reader);
    return true;
  }
  if (marked(kPaused)) {
    unmark(kPaused);
    stream.resume_reading();
  }
  return false;
}

bool StreamState::satisfied(ReadCall& reader) {
  switch (reader.want) {
    case ReadCall::Want::some:
      copy_out(reader);
      return true;
    case ReadCall::Want::exactly:
      copy_out(reader);
      return reader.target.empty();
    case ReadCall::Want::view:
      reader.count = input_->size();
      break;
    case ReadCall::Want::all:
      if (input_->size() <= static_cast<ViewCall&>(reader).max) return false;
      reader.fail(ReadCall::kTooLong);
      return true;
    default:
      if (!found(static_cast<ViewCall&>(reader))) return reader.failed();
  }
  viewed_ = reader.count;
  mark(kViewed);
  return true;
}

// Searches for the delimiter, looking at each byte only once.
bool StreamState::found(ViewCall& viewer) {
  const std::string_view all = text(input_->size());
  const std::size_t length = viewer.delimiter.size();
  const std::size_t from = viewer.scanned < length ? 0 : viewer.scanned - length + 1;
  const std::size_t at = all.substr(0, viewer.max).find(viewer.delimiter, from);
  viewer.scanned = all.size();
  if (at != std::string_view::npos) {
    viewer.count = at + length;
    return true;
  }
  if (all.size() >= viewer.max) viewer.fail(ViewCall::kTooLong);
  return false;
}

void StreamState::copy_out(ReadCall& reader) {
  const std::size_t count = std::min(reader.target.size(), input_->size());
  if (count == 0) return;
  std::memcpy(reader.target.data(), input_->data().data(), count);
  reader.count += count;
  reader.target = reader.target.subspan(count);
  input_->consume(count);
  if (!input_->empty()) return;
  unmark(kInput);
  input_.reset();
}

// Completes a read for which no more bytes will arrive, because the peer, this side or an error has
// ended the stream.
void StreamState::finish_at_end(ReadCall& reader) {
  const std::size_t rest = marked(kInput) ? input_->size() : 0;
  const bool cut = (reader.want == ReadCall::Want::exactly && reader.count > 0) ||
                   (reader.want == ReadCall::Want::delimiter && rest > 0);
  if (error_) {
    reader.fail(ReadCall::kStreamFailed);
  } else if (cut) {
    reader.fail(ReadCall::kUnexpectedEnd);
  } else if (reader.want == ReadCall::Want::line || reader.want == ReadCall::Want::all) {
    reader.count = viewed_ = rest;
    if (rest > 0) mark(kViewed);
  }
}

// Returns whether the reader still waits for its first byte.
bool StreamState::idle(const ReadCall& reader) const noexcept {
  return reader.count == 0 && !marked(kInput);
}

std::string_view StreamState::text(std::size_t count) const noexcept {
  if (input_ == nullptr) return {};
  return {reinterpret_cast<const char*>(input_->data().data()), count};
}

// ---- Writing ----

// Continues the write. Returns true if it is done or has failed, and false if it has to wait. It
// also waits while the stream is closing, because the reason of a failure is known only when the
// stream has ended.
bool StreamState::write(WriteCall& writer) {
  if (marked(kClosed | kFinished)) {
    writer.fail(WriteCall::kStreamFailed);
    return true;
  }
  const bool done = writer.flushes() ? flush() : pump(writer);
  return done && !marked(kOpening);
}

// Sends the bytes that the writes of this callback have collected. Returns whether the kernel has
// taken all written bytes.
bool StreamState::flush() {
  static_cast<void>(stream.write_room(reactor::Stream::kWriteRoom));
  stream.wrote(0);
  return stream.queued() == 0 && !stream.closing();
}

// Writes as much as the high-water mark allows at present. Returns true if the write is done or has
// failed, and false if it has to wait.
bool StreamState::pump(WriteCall& writer) {
  std::span<const std::byte>& rest = writer.rest.bytes;
  while (!rest.empty() && stream.writable() && stream.sends()) {
    constexpr std::size_t kPart = 64 * 1024;
    const std::size_t count = std::min(rest.size(), kPart);
    stream.write(rest.first(count));
    rest = rest.subspan(count);
  }
  if (stream.closing()) return false;
  if (rest.empty() || stream.sends()) return stream.writable();
  writer.fail(WriteCall::kStreamFailed);
  return true;
}

void StreamState::resume_writer() { std::exchange(writer_, nullptr)->resume(); }

void StreamState::wake_writer() noexcept {
  if (writer_ != nullptr) writer_->wake(*context_);
}

// If the stream ended without an error, all bytes that it took were sent.
void StreamState::finish_writer() noexcept {
  if (writer_ == nullptr) return;
  if (error_ || !writer_->rest.bytes.empty()) writer_->fail(WriteCall::kStreamFailed);
  wake_writer();
}

bool StreamState::writer_waits(bool flush) const noexcept {
  return writer_ != nullptr && !writer_->woken() && writer_->flushes() == flush;
}

void StreamState::on_drain(reactor::Stream&) {
  if (writer_waits(false) && pump(*writer_)) resume_writer();
}

void StreamState::on_flushed(reactor::Stream&) {
  if (writer_waits(true)) resume_writer();
}

// ---- Ending ----

void StreamState::on_end(reactor::Stream&) {
  mark(kEnded);
  ReadCall* const reader = this->reader();
  if (reader == nullptr || reader->woken()) return;
  finish_at_end(*reader);
  resume_reader();
}

void StreamState::on_shutdown(reactor::Stream&) { drain(); }

void StreamState::drain() noexcept {
  mark(kDraining);
  if (reader() != nullptr && idle(*reader())) wake_reader();
}

// Wakes the coroutines but does not resume them: if a coroutine ran in here, its exception could
// not leave this noexcept function.
void StreamState::on_close(reactor::Stream&, std::error_code error) noexcept {
  mark(kClosed);
  error_ = error;
  if (marked(kAbandoned)) {
    delete this;
    return;
  }
  if (reader() != nullptr) finish_at_end(*reader());
  wake_reader();
  finish_writer();
}

Result<Socket> StreamState::detach() {
  const bool unread = input_ != nullptr && input_->size() > viewed_;
  if (unread) return std::make_error_code(std::errc::device_or_resource_busy);
  return stream.detach();
}

// Returns whether the stream can still send its queued bytes. Returns false if the stream or its
// loop has ended, during the handshake, and if the stream belongs to a parent process (G9).
bool StreamState::lives_on() const noexcept {
  if (marked(kClosed | kOpening) || stream.fd() < 0 || context_ == nullptr) return false;
  return context_->loop.in_own_process();
}

void StreamState::abandon() noexcept {
  if (ReadCall* const reader = this->reader()) {
    reader->fail(ReadCall::kCanceled);
    reader->state = nullptr;
    wake_reader();
  }
  if (writer_ != nullptr) {
    writer_->fail(WriteCall::kCanceled);
    writer_->rest.state = nullptr;
    wake_writer();
  }
  if (!lives_on()) {
    delete this;
    return;
  }
  mark(kAbandoned);
  stream.close();
}

void StreamState::on_context_end() noexcept {
  if (marked(kAbandoned)) {
    delete this;
  } else {
    context_ = nullptr;
  }
}

}  // namespace reactor::coro
