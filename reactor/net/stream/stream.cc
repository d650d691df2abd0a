// SPDX-License-Identifier: MIT
// The header draws the states. The Stream has the states and the callbacks. Its parts are values
// that do not know it:
//
//   Stream ----> WriteQueue           the bytes and files that are queued
//     |  \-----> Extras --> Wire      a transport, rates and counters
//     |                 \-> Deadlines the time limits, if there may be several
//     v
//   NetContext   what the Streams of a loop share. Its destructor clears kUnattached (a friend).
//
// Two rules keep the code small:
//
//  * User code runs in run(). Meanwhile NetContext::active names the Stream, and the destructor
//    sets it to null, so run() knows afterwards whether the Stream still exists. Most callbacks are
//    called by call(), which then does what they asked for. Only on_loop_end() is called elsewhere,
//    because nothing is done after it.
//  * close() and fail() only set flags. The work follows in after_callback() or, outside callbacks,
//    in on_call(), which the loop calls. So on_close() never runs inside close() or fail().
//
// Most Streams read and write with recv(2) and send(2) alone. A Stream with Extras (kExtras) uses
// their Wire instead: stream_extras.cc, stream_file.cc and stream_limits.cc.
#include "reactor/net/stream/stream.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "reactor/base/internal/check.h"
#include "reactor/base/internal/poison.h"
#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

namespace {

// Writes up to this size are copied and collected. Larger ones are not worth a copy.
constexpr std::size_t kCollectLimit = 16 * 1024;

}  // namespace

Stream::Stream(Loop& loop, Socket socket, StreamHandler& handler, const StreamOptions& options,
               StreamOwner* owner, SourceLocation where)
    : PollTarget(-1),  // the descriptor is set below, when nothing can throw any more
      handler_(&handler),
      context_(&NetContext::of(loop)),
      options_(&options),
      owner_(owner) {
  static_assert(sizeof(Stream) <= 104);
  static_assert(sizeof(PollTarget) + sizeof(handler_) + sizeof(context_) + sizeof(flags_) +
                    sizeof(place_) + 1 + sizeof(idle_ms_) ==
                64);
  set_fd(socket.release().release());
  place_ = context_->number_of(where);
  set_idle_timeout(options.idle_timeout);
}

Stream::~Stream() {
  leave_loop();
  UniqueFd(fd()).reset();
}

void Stream::leave_loop() noexcept {
  if (!in_use()) return;
  if (has(kFailed)) static_cast<void>(context_->take_failure(*this));
  context_->announced.erase(this);
  if (context_->active == this) context_->abandon_callback();
  loop().detach(*this, has(kExtras) ? Detach::staying : Detach::closing);
  loop().disarm(*this);
}

bool Stream::in_callback() const noexcept { return in_use() && context_->active == this; }

void Stream::end() noexcept {
  static constexpr StreamOptions kDefaults;
  leave_loop();
  UniqueFd(fd()).reset();
  set_fd(-1);
  clear(kFailed | kQueued | kUnattached);
  set(kClosing | kClosed);
  // The owner and its options may be gone before this Stream.
  owner_ = nullptr;
  options_ = &kDefaults;
  queue_.reset();
  if (has(kExtras)) extras_->end();
}

Loop& Stream::loop() const noexcept { return context_->loop; }

HandleInfo Stream::describe() const noexcept {
  return {"stream", fd(), {}, context_->place(place_)};
}

// The handler may destroy this Stream.
void Stream::on_loop_end() noexcept { handler_->on_loop_end(*this); }

void Stream::start(bool likely_readable) {
  REACTOR_CHECK(!has(kStarted));
  if (has(kClosed) || can_finish()) return;
  if (!context_->in_callback()) {
    begin(likely_readable);
  } else {  // callbacks never nest: the loop calls on_open() later
    loop().call_soon(*this);
  }
}

void Stream::begin(bool likely_readable) {
  if (transport() != nullptr) {
    extras_->likely_readable = likely_readable;
    open_transport();
  } else {
    open_here(likely_readable);
  }
}

void Stream::open_here(bool likely_readable) {
  set(kStarted);
  open(likely_readable, [this] { handler_->on_open(*this); });
}

void Stream::start_adopted(std::span<const std::byte> state) {
  REACTOR_CHECK(!has(kStarted) && !context_->in_callback() && transport() == nullptr);
  set(kStarted);
  open(true, [this, state] { handler_->on_adopt(*this, state); });
}

// Calls the handler's first callback, and then on_shutdown() if request_shutdown() was called
// before the start, even if the first callback throws.
template <class Greeting>
void Stream::open(bool likely_readable, Greeting&& greeting) {
  arm_timer();
  set(kUnattached);
  const auto ask = [this, &context = *context_] {
    const bool asked = context.active == this && has(kAskedToEnd) && !has(kClosing);
    if (asked) handler_->on_shutdown(*this);
  };
  if (call([&] { call_both(greeting, ask); }) == Alive::no) return;
  if (likely_readable && !has(kNoRead) && read_turn() == Alive::no) return;
  clear(kUnattached);
  if (has(kClosed)) return;
  attach();
}

void Stream::attach() {
  if (!attached()) {
    if (const Result<> result = loop().attach(*this, wanted_interest()); !result) {
      fail(result.error());
      return;
    }
  }
  if (has(kExtras)) update_interest();
}

// ---- Reading ----

void Stream::on_ready(Ready ready) {
  if (ready.bits() == Interest::read && !has(kNoPlainRead)) [[likely]] {
    read_once();
    return;
  }
  on_any_ready(ready);
}

[[gnu::noinline]] void Stream::on_any_ready(Ready ready) {
  if (opening()) {
    extras_->likely_readable = true;
    open_transport();
    return;
  }
  const bool reads = any(ready.bits() & read_needs());
  if (any(ready.bits() & write_needs()) && flush_queue() == Alive::no) return;
  // Reading may have been paused or ended since the event was fetched.
  clear(kMoreInput);
  if (reads && !has(kNoRead)) {
    read_turn();
  } else if (reads && drops_input()) {
    drop_input();
  }
}

// Sends what a callback has collected. The fast path is that the kernel takes all of it.
Stream::Alive Stream::flush_batch() {
  NetContext& context = *context_;
  if (context.batch_used > 0 && !has(kClosing | kShutdown | kNoPlainWrite)) [[likely]] {
    const std::span<const std::byte> bytes = context.take_batch();
    const IoResult result = Socket::send(fd(), bytes);
    if (!result.moved(bytes.size())) [[unlikely]]
      send_rest(bytes, result);
    context.close_batch();
    if (result.moved(bytes.size())) [[likely]]
      return Alive::yes;
  } else {
    send_batch();
  }
  return settle();
}

// Does what close(), shutdown() or fail() asked for inside a callback.
Stream::Alive Stream::settle() {
  if (!has(kClosing | kShutdown)) return Alive::yes;
  send_fin_if_due();
  if (can_finish()) return finish();
  if (has(kClosed)) {  // by detach()
    clear(kUnattached);
  } else if (has(kClosing)) {
    update_interest();
  }
  return Alive::yes;
}

// Does what the callers of call() would have done: the exception skips them.
void Stream::after_exception() {
  if (after_callback(*context_) == Alive::no || has(kClosed)) return;
  if (has(kUnattached)) {
    clear(kUnattached);
    attach();
  } else if (has(kExtras)) {
    update_interest();
  }
}

// Reads once a turn, so that a busy peer does not keep others waiting (G10). A read that fills the
// buffer may have left more input (kMoreInput).
Stream::Alive Stream::read_once() {
  return call([this, &context = *context_] {
    std::span<std::byte> buffer = handler_->read_buffer(*this);
    if (context.active != this) [[unlikely]]
      return;
    unpoison(buffer);  // the buffer may be in the scratch memory
    const PoisonAtExit lent(context.scratch);
    IoResult result = IoResult::blocked();
    if (has(kNoRead | kExtras)) [[unlikely]] {
      if (has(kNoRead)) return heed(buffer);
      buffer = within_rate(buffer);
      result = receive_by_wire(buffer);
    } else {
      result = Socket::receive(fd(), buffer);
    }
    if (!result.ok()) [[unlikely]] {
      if (buffer.empty()) return heed(buffer);  // an empty read looks like an end
      if (!result.would_block()) input_over(result);
      return;
    }
    const std::size_t count = result.count();
    if (count == buffer.size()) [[unlikely]]
      set(kMoreInput);
    touch_plainly(loop().now());
    handler_->on_data(*this, buffer.first(count));
  });
}

// Heeds a read_buffer() that closed or paused the Stream, or lent no buffer. That call did not
// destroy the Stream.
void Stream::heed(std::span<std::byte> buffer) {
  if (has(kClosing)) {
    if (!has(kClosed)) set(kLinger);  // the input that was about to be read is still there
  } else if (buffer.empty()) {
    pause_reading();
  }
}

// Ends reading, after the peer's end or an error. Runs inside call().
void Stream::input_over(IoResult result) {
  if (!result.end()) {
    has(kExtras) ? wire_failed(result) : fail(result.error());
    return;
  }
  set(kPeerEnded);
  update_interest();
  handler_->on_end(*this);  // may destroy the Stream
}

void Stream::pause_reading() {
  set(kPaused);
  update_interest();
}

void Stream::resume_reading() {
  clear(kPaused);
  update_interest();
}

Interest Stream::wanted_interest() const noexcept {
  if (opening()) return extras_->step.waits() ? Interest::none : extras_->wire.read_needs();
  Interest interest = Interest::none;
  if (!has(kNoRead) || drops_input()) interest = read_needs();
  return has(kQueued) ? interest | write_needs() : interest;
}

void Stream::update_interest() {
  if (has(kExtras)) watch_times();
  if (!attached()) return;  // attach() will tell the poller
  if (const Result<> result = loop().set_interest(*this, wanted_interest()); !result) {
    fail(result.error());
  }
  if (has(kExtras)) read_again();
}

// ---- Writing ----

void Stream::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void Stream::write(std::span<const std::byte> bytes) {
  if (collect(bytes) == nullptr && !bytes.empty()) [[unlikely]]
    write_now(bytes);
}

// Returns the result of memcpy(3), so that the call of memcpy(3) can be a tail call. Empty `bytes`
// must not get there, because their pointer may be null. They do not fit, because their size minus
// one wraps around to a number above the limit.
void* Stream::collect(std::span<const std::byte> bytes) noexcept {
  NetContext& context = *context_;
  const std::size_t used = context.batch_used + bytes.size();
  const bool fits = bytes.size() - 1 < kCollectLimit && used <= NetContext::kBatchGoal;
  if (context.active != this || !fits || has(kClosing | kShutdown | kQueued)) [[unlikely]]
    return nullptr;
  std::byte* const place = context.open_batch(bytes.size()).data();
  context.batch_used = used;
  return std::memcpy(place, bytes.data(), bytes.size());
}

// Sends directly if this is the only answer of a callback. All other cases take the slow path.
void Stream::write_now(std::span<const std::byte> bytes) {
  if (context_->active != this || context_->batch_used > 0 ||
      has(kClosing | kShutdown | kNoPlainWrite)) [[unlikely]] {
    write_slowly(bytes);
    return;
  }
  const IoResult result = Socket::send(fd(), bytes);
  if (!result.moved(bytes.size())) [[unlikely]]
    send_rest(bytes, result);
}

void Stream::write_slowly(std::span<const std::byte> bytes) {
  if (has(kClosing | kShutdown) || bytes.empty()) return;
  if (context_->active != this) {
    touch(loop().start_time());
  } else {
    send_batch();
  }
  send_or_queue(bytes);
}

std::span<std::byte> Stream::write_room(std::size_t least) {
  NetContext& context = *context_;
  REACTOR_CHECK(least <= NetContext::kBatchSize);
  // The batch may hold bytes that another Stream's callback has collected: they are sent first.
  if (context.batch_used > 0 &&
      (context.active != this || context.batch_used + least > NetContext::kBatchGoal)) {
    context.active->send_batch();
  }
  return context.open_batch(context.batch_room());
}

void Stream::wrote(std::size_t count) {
  NetContext& context = *context_;
  context.close_batch();
  if (context.active != this || has(kClosing | kShutdown | kQueued)) [[unlikely]] {
    wrote_slowly(count);
    return;
  }
  context.batch_used += count;
}

// If something is queued, these bytes are added to the queue without a try to send them, so that
// the high-water mark counts them.
void Stream::wrote_slowly(std::size_t count) {
  if (has(kClosing | kShutdown) || count == 0) return;
  context_->batch_used += count;
  send_batch();
  touch(loop().start_time());
}

// Sends what was collected for this Stream.
void Stream::send_batch() {
  if (context_->batch_used == 0) return;
  send_or_queue(context_->take_batch());
  context_->close_batch();
}

void Stream::send_or_queue(std::span<const std::byte> bytes) {
  if (has(kNoPlainWrite)) [[unlikely]] {
    const bool tries = !has(kQueued | kFailed);
    const IoResult result = tries ? send_by_wire(bytes) : IoResult::blocked();
    if (result.count() < bytes.size()) send_rest(bytes, result);
    return;
  }
  const IoResult result = Socket::send(fd(), bytes);
  if (!result.moved(bytes.size())) [[unlikely]]
    send_rest(bytes, result);
}

// Queues the bytes that the kernel did not take. If there is no memory for them, the Stream fails,
// because a part may have been sent already.
void Stream::send_rest(std::span<const std::byte> bytes, IoResult result) {
  if (result.is_error()) fail(result.error());
  if (has(kFailed)) return;
  try {
    enqueue(bytes.subspan(result.count()));
  } catch (const std::bad_alloc&) {
    set(kQueued);  // makes finish() reset the connection: the peer can't take a part for the whole
    fail(std::make_error_code(std::errc::not_enough_memory));
  }
}

void Stream::enqueue(std::span<const std::byte> bytes) {
  const bool first = !has(kQueued);
  if (queue_ == nullptr) queue_ = std::make_unique<WriteQueue>();
  set(kQueued);
  if (queued() + bytes.size() > options_->queue_limit) {
    fail(Errc::queue_full);
    return;
  }
  queue_->append(bytes);
  if (queued() >= options_->high_water) set(kHeldBack);
  if (first) arm_timer();
  update_interest();
}

// Writes as much of the queue as the kernel takes, and tells the handler.
Stream::Alive Stream::flush_queue() {
  if (!has(kQueued) || has(kFailed)) return Alive::yes;
  const bool moved = write_queued();
  if (has(kFailed)) return Alive::yes;
  const bool empty = !has(kQueued);
  if (empty || moved) arm_timer();
  const bool drained =
      has(kHeldBack) && (queue_ == nullptr || queue_->drained(options_->low_water));
  if (drained) clear(kHeldBack);
  if (empty || drained || has(kExtras)) update_interest();
  if (!drained && !empty) return Alive::yes;
  const auto tell_drained = [this, drained] {
    if (drained && !has(kClosing)) handler_->on_drain(*this);
  };
  const auto tell_flushed = [this, empty, &context = *context_] {
    if (context.active != this || !empty || has(kClosing | kQueued)) return;
    handler_->on_flushed(*this);
  };
  return call([&] { call_both(tell_drained, tell_flushed); });
}

std::size_t Stream::queued() const noexcept { return queue_ == nullptr ? 0 : queue_->bytes(); }

bool Stream::has_room() const noexcept {
  return queue_ == nullptr || queue_->below(options_->high_water);
}

}  // namespace reactor
