// SPDX-License-Identifier: MIT
// Stream is a connected byte stream (TCP or unix) in a loop. StreamHandler has its callbacks, and
// StreamOptions its settings.
//
//           start()               peer's FIN
//   created -------->    open    ------------> half-closed     start() first opens the transport
//                     on_open()     on_end()        |          (its handshake), if there is one
//                         | close()                 | close()
//                         v                         v
//                      closing: the queue is written, then the FIN is sent
//                         | all is written
//                         v
//   any state -------> closed: on_close(), once
//     error, timeout, fail(), abort(): the queue is dropped
//
// shutdown() half-closes our side: the FIN follows the queue, and reading continues. When both
// sides have half-closed, the Stream closes. If unread input is expected at the end, the socket
// lingers: the Stream is closed, but the loop keeps the socket for a while, and reads and drops its
// input.
//
// A Stream belongs to its loop's thread. Callbacks may call every member and destroy the Stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/loop/loop.h"
#include "reactor/net/hand_over.h"
#include "reactor/net/socket.h"
#include "reactor/net/stream/stream_handler.h"
#include "reactor/net/stream/stream_options.h"

namespace reactor {

class NetContext;
struct ProxiedAddresses;
class Transport;
class WriteQueue;

// A Stream takes 96 bytes, and has no buffer while nothing is queued. Members that few Streams need
// (for a transport, files, rates, extra timeouts, byte counts) are in a separate block, Extras,
// which is made when first needed. A Stream with Extras is a little slower; the others pay nothing.
class Stream final : private PollTarget {
 public:
  static constexpr std::size_t kWriteRoom = 64 * 1024;  // the most bytes that write_room() lends

  // Takes a connected socket. `handler`, `options` and `owner` must outlive the Stream.
  Stream(Loop& loop, Socket socket, StreamHandler& handler, const StreamOptions& options,
         StreamOwner* owner = nullptr, SourceLocation where = SourceLocation::current());
  // Ends the Stream at once, without a callback. Queued bytes are dropped.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Sets the Transport that moves the bytes in place of recv(2) and send(2). Call it before
  // start().
  void set_transport(std::unique_ptr<Transport> transport);
  // Returns the transport; null if none was set.
  [[nodiscard]] Transport* transport() const noexcept;

  // Calls on_open(), and begins to read. With a transport, on_open() is called when
  // Transport::open() is done. Callbacks run inside start(), maybe even on_close(), so the Stream
  // may be gone when start() returns. The exception is a start() inside a Stream's callback: all
  // callbacks then run later. With `likely_readable`, tries to read before it asks the poller: a
  // newly accepted connection has often received its first bytes already, and may end before it
  // needs polling. If the poller refuses the socket, the Stream ends by on_close(). Does nothing if
  // fail() was called before, or close() while nothing was queued.
  void start(bool likely_readable = false);

  // Sends `bytes` after the bytes of earlier writes. Inside this Stream's callbacks, small writes
  // are collected and sent in one call when the callback returns; other writes try the socket
  // immediately. The bytes that the kernel does not take are copied and queued. Does nothing if the
  // Stream is closing, or after shutdown(). An error ends the Stream by on_close(). One such error
  // is not_enough_memory, if there is no memory for the queue. A part of `bytes` may have been sent
  // by then.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // The fast path of write(): copies `bytes` into the batch and returns non-null, or does nothing
  // and returns null. It copies if this Stream's callback runs, `bytes` is not empty and fits into
  // the batch (16 KiB in all), nothing is queued, and the Stream is neither closing nor after
  // shutdown(). Use it only if you must know whether the bytes were copied; otherwise use write().
  void* collect(std::span<const std::byte> bytes) noexcept;

  // Like write(), but tries the socket immediately inside callbacks too. Use it if a callback sends
  // only one answer: there is nothing to collect, so the bytes need not be copied.
  void write_now(std::span<const std::byte> bytes);

  // Like write(), but the caller needs no buffer of its own: write_room() lends one with at least
  // `least` bytes (at most kWriteRoom). Fill it before you call anything else, then call wrote()
  // with the number of bytes. After that the buffer is no longer yours; AddressSanitizer builds
  // poison it.
  [[nodiscard]] std::span<std::byte> write_room(std::size_t least);
  void wrote(std::size_t count);

  // Returns how many bytes are queued here; those in the kernel do not count.
  [[nodiscard]] std::size_t queued() const noexcept;
  // Returns whether the queue is below the high-water mark and has no file. While it is not, stop
  // producing; on_drain() tells when to continue.
  [[nodiscard]] bool writable() const noexcept { return !has(kQueued) || has_room(); }

  // Sends `length` bytes of a regular file from `offset` on, in order with other writes. The kernel
  // sends them without a copy if it can (sendfile(2)). A slow disk blocks the loop. If not all
  // bytes can be sent immediately, writable() is false until all are sent, and then on_drain()
  // follows. Reading pauses meanwhile, so that a peer that asks for many files but does not read
  // them can't fill the queue. Does nothing if the Stream is closing, or after shutdown(). A file
  // that turns out to be shorter ends the Stream by on_close(Errc::file_truncated), and the peer
  // sees a reset; other errors are those of pread(2). Throws std::bad_alloc.
  void send_file(UniqueFd file, std::uint64_t offset, std::uint64_t length);

  // pause_reading() stops reading, and resume_reading() starts it again. When the kernel's buffer
  // is full, the kernel holds the peer back. A full write queue also pauses reading, independently
  // of these two functions.
  void pause_reading();
  void resume_reading();

  // Half-closes the connection: the peer reads the written bytes, then end of stream. Reading
  // continues.
  void shutdown();

  // Writes the queue and closes the connection; on_close() follows from the loop, without an error.
  // Set `linger` if unread input is expected: the loop then reads and drops it for a while.
  // Otherwise the kernel would answer that input with a reset, which could destroy the last answer
  // (RFC 9112 section 9.6).
  void close(bool linger = false);

  // Ends the Stream without waiting; on_close(error) follows from the loop. Queued bytes are
  // dropped. If any were queued, the peer sees a reset, so that it can't mistake a part for the
  // whole.
  void fail(std::error_code error) noexcept;

  // Ends the Stream without waiting: the peer sees a reset, and
  // on_close(std::errc::connection_aborted) follows from the loop.
  void abort();

  // Gives back the socket, which stays non-blocking. The Stream then has ended without on_close()
  // and may be destroyed (a Server soon does so). Errors: Errc::not_supported with a transport;
  // not_connected if the Stream is closing or has not started; device_or_resource_busy if something
  // is queued.
  [[nodiscard]] Result<Socket> detach();

  // Like start(), for a connection that another process handed over: calls on_adopt(state) instead
  // of on_open(). Must not be called inside a Stream's callback, nor with a transport.
  void start_adopted(std::span<const std::byte> state);

  // Moves the connection to another process, if nothing is buffered here and the handler agrees by
  // on_hand_over(). Must not be called inside a Stream's callback. Returns
  //   done      if the Stream has ended: by on_close(), or because on_hand_over() destroyed it
  //   not_idle  if something is buffered, or the handler answered HandOver::later
  //   no_room   if the target is busy
  //   never     if the handler or the target refused, or the Stream has a transport
  enum class Offer : std::uint8_t { done, not_idle, no_room, never };
  [[nodiscard]] Offer offer_to(HandOverTarget& target);

  // ---- For owners that may be destroyed inside this Stream's callbacks. ----

  // Returns whether one of this Stream's callbacks is running.
  [[nodiscard]] bool in_callback() const noexcept;
  // Ends the Stream like the destructor does, but keeps the object alive for the callback that is
  // running: from here on the Stream's functions do nothing.
  void end() noexcept;

  // Tells the owner that the connection could move to another process now. For handlers that
  // answered, or would answer, HandOver::later. If the owner is handing connections over, it asks
  // by on_hand_over() soon, but not inside this call. Otherwise this costs next to nothing.
  void notify_idle() noexcept {
    if (owner_ != nullptr) owner_->on_stream_idle(*this);
  }

  // Reads the input that has arrived, then asks the handler by on_shutdown() to finish. A server
  // that ends calls this. After this the Stream is not moved to another process any more. If
  // on_open() has not been called yet, on_shutdown() is called right after on_open(). Must not be
  // called inside another Stream's callback.
  void request_shutdown();

  [[nodiscard]] bool asked_to_end() const noexcept { return has(kAskedToEnd); }

  // Calls on_timeout() after `timeout` (at most 24 days, rounded up to ms) without a read or a
  // write; 0: never.
  void set_idle_timeout(Duration timeout) noexcept;
  // Calls on_timeout() at `deadline`, whatever is read or written. Until the deadline passes or
  // set_idle_timeout() is called, it replaces the idle and the write timeout. Has no effect before
  // on_open().
  void set_deadline(TimePoint deadline) noexcept;

  // Makes the loop call on_call(), once, soon but not inside this call. Replaces the deadline, and
  // the idle timeout until the call, which starts it anew. set_deadline() and set_idle_timeout()
  // cancel the call. Has no effect before on_open() or after close().
  void call_soon() noexcept;

  // The next three functions work independently of each other, of set_idle_timeout() and of
  // set_deadline(). A duration of zero or less, and TimePoint::max(), switch them off. They are
  // precise to a tick (0.52 ms), never early.
  //
  // Calls on_timeout() after each `timeout` without a read. Time in which reading is paused, or is
  // held back by a full queue or the rate, does not count.
  void set_read_timeout(Duration timeout);
  // Fails with Errc::timed_out if bytes are queued and none could be sent for `timeout`. Replaces
  // StreamOptions::write_timeout. Until a transport is open, Transport::open_limit() applies.
  void set_write_timeout(Duration timeout);
  // Fails with Errc::timed_out at `deadline`, whatever is read or written.
  void set_total_deadline(TimePoint deadline);

  // These functions limit how many bytes per second are read or written; 0: no limit. Bytes above
  // the rate are moved later. Unread bytes stay in the kernel, which holds the peer back. After a
  // pause, at most the bytes of 50 ms are made up for.
  void set_read_rate(std::uint64_t bytes_per_second);
  void set_write_rate(std::uint64_t bytes_per_second);

  // Counts bytes from here on: those given to on_data(), and those that the kernel took.
  void count_bytes() { extras(); }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept;
  [[nodiscard]] std::uint64_t bytes_written() const noexcept;

  // Returns the time left until the limit that applies now passes, if nothing is read or written
  // meanwhile. That limit is the deadline of set_deadline(); or else, while bytes are queued, the
  // write timeout; or else the idle timeout. Returns kForever if that limit is not set.
  [[nodiscard]] Duration time_left() const noexcept;

  [[nodiscard]] Loop& loop() const noexcept;
  // Returns the loop's scratch memory, which the default read_buffer() lends.
  [[nodiscard]] std::span<std::byte> scratch() const noexcept;
  [[nodiscard]] StreamHandler& handler() const noexcept { return *handler_; }
  // Makes `handler` get all callbacks from the next one on.
  void set_handler(StreamHandler& handler) noexcept { handler_ = &handler; }
  // Replaces the options from now on. They must outlive the Stream.
  void set_options(const StreamOptions& options) noexcept { options_ = &options; }
  [[nodiscard]] int fd() const noexcept { return PollTarget::fd(); }
  // Returns whether close() or fail() was called, or an error occurred. Later writes are not sent.
  [[nodiscard]] bool closing() const noexcept { return (flags_ & kClosing) != 0; }
  // Returns whether writes are still sent: not if the Stream is closing, nor after shutdown().
  [[nodiscard]] bool sends() const noexcept { return !has(kClosing | kShutdown); }
  // Returns whether the peer has half-closed.
  [[nodiscard]] bool ended() const noexcept { return (flags_ & kPeerEnded) != 0; }
  // These functions return the socket's addresses, or those that announce() set. Errors: those of
  // getpeername(2) and getsockname(2).
  [[nodiscard]] Result<Address> peer() const;
  [[nodiscard]] Result<Address> local() const;
  // Sets the addresses that peer() and local() return until on_close() is over. Use it for a
  // connection that a proxy makes for a client. Takes memory only for Streams on which it is
  // called. Throws std::bad_alloc.
  void announce(const Address& peer, const Address& local);
  // Returns the addresses that announce() set; null if it was not called.
  [[nodiscard]] const ProxiedAddresses* announced() const noexcept;

 private:
  enum Flag : std::uint16_t {
    kStarted = 1 << 0,         // on_open() or on_adopt() was, or is being, called
    kPaused = 1 << 1,          // pause_reading() was called
    kHeldBack = 1 << 2,        // reading pauses: the write queue is full, or has a file
    kPeerEnded = 1 << 3,       // the peer half-closed
    kShutdown = 1 << 4,        // shutdown() was called
    kFinSent = 1 << 5,         // the FIN of shutdown() was sent
    kClosing = 1 << 6,         // close() or fail() was called
    kLinger = 1 << 7,          // unread input is expected at the end
    kFailed = 1 << 8,          // the context keeps the error
    kClosed = 1 << 9,          // on_close() was, or is being, called; or detached
    kFixedDeadline = 1 << 10,  // set_deadline() or call_soon() uses the timer node
    kMoreInput = 1 << 11,      // the last read filled its buffer
    kUnattached = 1 << 12,     // not in the loop, but a callback runs, or announce() was called
    kQueued = 1 << 13,         // something still has to be written
    kExtras = 1 << 14,         // extras_ exists: reads and writes take the slow path
    kAskedToEnd = 1 << 15,     // request_shutdown() was called
  };
  static constexpr unsigned kNoRead = kPaused | kHeldBack | kPeerEnded | kClosing;
  // With any of these flags, a readable event can't take the fast path.
  static constexpr unsigned kNoPlainRead = kNoRead | kMoreInput | kExtras;
  static constexpr unsigned kNoPlainWrite = kQueued | kFailed | kExtras;
  static constexpr unsigned kDropsInput = kClosing | kLinger | kQueued;
  struct Extras;  // stream_inside.h

  friend class NetContext;  // for its destructor

  // Alive is returned by steps that may destroy *this. `no` means that *this is gone.
  enum class Alive : bool { no, yes };

  void on_ready(Ready ready) override;
  void on_expire() override;
  void on_call() override;
  void on_loop_end() noexcept override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

  void on_any_ready(Ready ready);
  void leave_loop() noexcept;
  // Returns false if the loop has nothing of this Stream. The loop may then be gone already.
  [[nodiscard]] bool in_use() const noexcept { return attached() || armed() || has(kUnattached); }
  [[nodiscard]] bool has(unsigned flags) const noexcept { return (flags_ & flags) != 0; }
  // Returns whether input is read and dropped while the last answer is written. Otherwise a peer
  // that sends everything before it reads would wait for us while we wait for it.
  [[nodiscard]] bool drops_input() const noexcept {
    return (flags_ & (kDropsInput | kPeerEnded | kFailed)) == kDropsInput;
  }
  void set(unsigned flags) noexcept { flags_ = static_cast<std::uint16_t>(flags_ | flags); }
  void clear(unsigned flags) noexcept { flags_ = static_cast<std::uint16_t>(flags_ & ~flags); }
  template <class Call>
  Alive run(Call&& callback);
  template <class Call>
  Alive call(Call&& callback);
  Alive after_callback(NetContext& context);
  void after_exception();
  Alive flush_batch();
  Alive settle();
  template <class Greeting>
  void open(bool likely_readable, Greeting&& greeting);
  void begin(bool likely_readable);
  void open_here(bool likely_readable);
  void attach();
  Alive read_turn();
  Alive read_once();
  void heed(std::span<std::byte> buffer);
  void input_over(IoResult result);
  Alive flush_queue();
  bool write_queued();
  [[nodiscard]] std::size_t write_front();
  Alive finish();
  // Returns whether the Stream is closing, and nothing has to be written before on_close().
  [[nodiscard]] bool can_finish() const noexcept {
    return has(kClosing) && !has(kClosed) && (!has(kQueued) || has(kFailed));
  }
  void send_or_queue(std::span<const std::byte> bytes);
  void send_batch();
  void write_slowly(std::span<const std::byte> bytes);
  void wrote_slowly(std::size_t count);
  void send_rest(std::span<const std::byte> bytes, IoResult result);
  void enqueue(std::span<const std::byte> bytes);
  void send_fin_if_due() noexcept;
  void touch(TimePoint now) noexcept;
  void touch_plainly(TimePoint now) noexcept;
  void arm_timer() noexcept;
  void set_main_due(TimePoint due) noexcept;
  void main_limit_passed();
  // Returns whether the loop is going to call on_call() (Loop::call_soon()).
  [[nodiscard]] bool call_waits() const noexcept {
    return armed() && deadline() == TimePoint::min();
  }
  void take_call() noexcept;
  void update_interest();
  [[nodiscard]] Interest wanted_interest() const noexcept;
  [[nodiscard]] Interest read_needs() const noexcept;
  [[nodiscard]] Interest write_needs() const noexcept;
  void release_socket();
  void drop_input();

  // These functions are the slow path, and others that need Extras.
  Extras& extras();
  [[nodiscard]] bool opening() const noexcept;
  [[nodiscard]] bool before_opening() const noexcept;
  void open_transport();
  void continue_opening();
  template <class Call>
  IoResult ask_transport(Call&& call);
  void wire_failed(IoResult result);
  void report_failure(std::error_code error) const;
  [[nodiscard]] std::span<std::byte> within_rate(std::span<std::byte> buffer) const noexcept;
  IoResult receive_by_wire(std::span<std::byte> buffer);
  IoResult send_by_wire(std::span<const std::byte> bytes);
  [[nodiscard]] std::size_t write_file();
  [[nodiscard]] std::size_t copy_file(std::size_t most);
  void end_writing();
  void read_again();
  void watch_times();
  void arm_for_next();
  void move_waiting();
  [[nodiscard]] bool has_room() const noexcept;

  // The base class and these members fill the first 64 bytes, which is all of the Stream that a
  // plain read or write touches.
  StreamHandler* handler_;
  NetContext* context_;
  std::uint16_t flags_ = 0;
  std::uint8_t place_;  // the number of the source line that made it: NetContext::place()
  std::uint32_t idle_ms_ = 0;

  const StreamOptions* options_;
  std::unique_ptr<WriteQueue> queue_;  // null if nothing is queued
  StreamOwner* owner_;
  std::unique_ptr<Extras> extras_;
};

}  // namespace reactor
