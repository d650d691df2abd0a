// SPDX-License-Identifier: MIT
// Stream: a connected byte stream (TCP or unix) in a loop, and StreamHandler, which is called back.
//
//            +--------+  peer's end   +-------------+
//   start -> |  open  | ------------> | half-closed |  reading is over, writing goes on
//            +--------+               +-------------+
//                 | close(), error, time-out |
//                 v                          v
//            +--------------------------------------+  queue written, then FIN; where unread
//            |               closing                |  input is expected the loop goes on reading
//            +--------------------------------------+  and dropping it for a while (lingering)
//                              v
//            +--------------------------------------+
//            |        closed: on_close, once        |
//            +--------------------------------------+
//
// A Stream belongs to its loop's thread. Callbacks may call everything, and may destroy the Stream.
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
#include "reactor/net/service.h"
#include "reactor/net/socket.h"

namespace reactor {

class ByteBuffer;
class NetContext;
struct ProxiedAddresses;
class Stream;
class Transport;

// Whoever a Stream belongs to, where that is not its handler: a Server.
class StreamOwner {
 public:
  // on_close is over, and did not destroy the Stream: now it may be.
  virtual void on_stream_closed(Stream& stream) noexcept = 0;

  // See Stream::offer(). Called in the Stream's callbacks, too: nothing may happen to it yet.
  virtual void on_stream_idle(Stream& stream) noexcept;

 protected:
  ~StreamOwner() = default;
};

enum class Migration : std::uint8_t { no, later, now };

// Called back by a Stream; one object per connection, or one for many. Never deleted through this.
class StreamHandler {
 public:
  // The Stream was started: the place to greet a peer who expects the server to speak first.
  virtual void on_open(Stream& stream);

  // Where the next bytes go. Default: the loop's 64 KiB of scratch. The buffer must stay valid
  // until on_data() returns. An empty one means "not now": nothing is read, and reading pauses
  // until resume_reading(). No on_data() follows if this call pauses, closes or fails the Stream.
  virtual std::span<std::byte> read_buffer(Stream& stream);

  // `bytes` were read (at least one, at most one buffer's worth a turn). Valid, and writable for
  // your own use, until return. In AddressSanitizer builds the loop's scratch is poisoned then.
  // An exception out of this, or any other call, leaves Loop::run(), and the Stream stays open. In
  // a prefork worker it ends the worker: catch it, and fail() the Stream.
  virtual void on_data(Stream& stream, std::span<std::byte> bytes) = 0;

  // The peer will send no more. Default: close(), after what is queued is written.
  virtual void on_end(Stream& stream);

  // The write queue, which was above the high-water mark or had a file in it (Stream::send_file()),
  // has none any more and fell below the low-water mark.
  virtual void on_drain(Stream& stream);

  // The write queue is empty: the kernel has taken all of it. After on_drain(). Default: nothing.
  virtual void on_flushed(Stream& stream);

  // The idle time-out, the read time-out or the deadline passed. Default: fail with
  // Errc::timed_out.
  virtual void on_timeout(Stream& stream);

  // The server is going away: finish what is under way, then close. Default: close().
  virtual void on_shutdown(Stream& stream);

  // Another process is to go on with this connection (Service::hand_over()); nothing of it is
  // buffered here. now: may be done, `state` (empty) holds what on_adopt() needs there, then
  // on_close() follows without an error; later: ask again; no (default): on_shutdown() follows.
  virtual Migration on_migrate(Stream& stream, std::vector<std::byte>& state);

  // In place of on_open() for a connection that comes from another process, which may have been
  // another version of the program: distrust `state`. Default: on_open().
  virtual void on_adopt(Stream& stream, std::span<const std::byte> state);

  // The Stream has ended: by the peer and close() (no error), an error, or a time-out. Called once,
  // never from inside close() or write(), never when the Stream was destroyed first. The socket is
  // closed already; the Stream may be destroyed here.
  virtual void on_close(Stream& stream, std::error_code error) noexcept;

  // The Loop ends, and this Stream is still in it: drop whatever would use the Stream later. There
  // will be no on_close(). Only destruction of the Stream may follow, here or later. Default:
  // nothing.
  virtual void on_loop_end(Stream& stream) noexcept;

 protected:
  StreamHandler() = default;
  StreamHandler(const StreamHandler&) = default;
  StreamHandler& operator=(const StreamHandler&) = default;
  ~StreamHandler() = default;
};

// Settings that many Streams share: they live in the listener's or server's owner and outlive the
// Streams that point to them.
struct StreamOptions {
  std::size_t low_water = 16 * 1024;    // octets queued at which a paused peer is read again
  std::size_t high_water = 64 * 1024;   // octets queued at which reading pauses
  std::size_t queue_limit = 16 << 20;   // octets queued at which the connection fails (queue_full)
  Duration idle_timeout = Duration{0};  // without a read or a write; 0: none. Precise to a tick
  Duration write_timeout = std::chrono::seconds(30);  // without progress while octets are queued

  // How long a closed connection is kept for a peer that is still sending. Many clients send a
  // whole body before they read: they get the last answer only if all of that body is read and
  // dropped, for closing earlier resets the connection (RFC 9112 section 9.6). The longest wait for
  // the next 4 KiB, so that a byte now and then does not keep the connection. 0 or less: closed at
  // once.
  Duration linger_idle = std::chrono::seconds(2);
  // All of it.
  Duration linger_time = std::chrono::seconds(30);
  // Bytes that are read and dropped. Reading stops behind them, so that the kernel holds the peer
  // back, and the connection is closed after `linger_idle`: a peer that reads meanwhile has its
  // answer.
  std::size_t linger_bytes = 64 << 20;
};

// 104 bytes; no buffer while nothing is queued. What few Streams need lies in a block of its own,
// made when the first of it is set: such a Stream is a little slower, the others pay nothing.
class Stream final : private PollTarget, private TimerNode {
 public:
  static constexpr std::size_t kWriteRoom = 64 * 1024;  // the most that write_room() gives

  // Takes a connected socket; nothing is read before start(). `handler`, `options` and `owner`
  // outlive it.
  Stream(Loop& loop, Socket socket, StreamHandler& handler, const StreamOptions& options,
         StreamOwner* owner = nullptr, SourceLocation where = SourceLocation::current());
  // Ends at once, without a callback; octets that are queued are dropped.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // How octets are moved, where not by recv(2) and send(2). Before start().
  void set_transport(std::unique_ptr<Transport> transport);
  // What was set; null where nothing.
  [[nodiscard]] Transport* transport() const noexcept;

  // Begins to read. `likely_readable`: try to read before asking the poller, as a connection that
  // was just accepted often has its first octets there, and may be over before it needs polling.
  // Callbacks may run inside, on_close included; the Stream may be gone when it returns. An error
  // to register with the poller ends the Stream by on_close. With a transport on_open() comes when
  // its Transport::open() is done. One that was closed, or failed, before does not begin.
  void start(bool likely_readable = false);

  // Sends `bytes`, in order, after what is queued. Inside this Stream's callbacks small writes are
  // collected and leave in one call when the callback returns; else the socket is tried at once.
  // What the kernel does not take is copied and queued. Ignored once closing, or after shutdown().
  // Errors end the Stream by on_close, and so does want of memory for what the kernel does not take
  // (not_enough_memory): a part may have left already.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // As write() where there is nothing to it but to collect them: 1 to 16,384 octets, inside a
  // callback, with nothing queued, neither closing nor after shutdown(). Null in every other case,
  // in which nothing was done. For those who have to know which it was; else use write().
  void* collect(std::span<const std::byte> bytes) noexcept;

  // As write(), but tries the socket at once inside callbacks too: for the only answer of a
  // callback, which needs not be collected, and so is not copied.
  void write_now(std::span<const std::byte> bytes);

  // To write without a copy of your own: write_room() lends room for at least `least` bytes (up to
  // kWriteRoom). Fill it before you call anything else, then say by wrote() how many there are. The
  // room is not yours after that, and poisoned in AddressSanitizer builds. As write() else.
  [[nodiscard]] std::span<std::byte> write_room(std::size_t least);
  void wrote(std::size_t count);

  // Octets queued here, not in the kernel.
  [[nodiscard]] std::size_t queued() const noexcept;
  // Whether the queue is below the high-water mark: stop producing while it is not, go on at
  // on_drain().
  [[nodiscard]] bool writable() const noexcept { return !has(kQueued) || has_room(); }

  // Sends `length` octets of a regular file from `offset` on, in order with what is written before
  // and after; without a copy where the kernel can do that (sendfile(2)). A disk that is slow holds
  // the loop up. Where not all leave at once, writable() is false until they have, then on_drain()
  // says so; reading pauses meanwhile, so that who asks for files and takes none can't pile them
  // up. Ignored once closing, or after shutdown(). A file that turns out to be shorter ends the
  // Stream by on_close(Errc::file_truncated), and the peer sees a reset; other errors are those of
  // pread(2). Throws std::bad_alloc.
  void send_file(UniqueFd file, std::uint64_t offset, std::uint64_t length);

  // Stops and goes on reading. The kernel's buffer then holds the peer back. Independent of the
  // pause that a full write queue makes.
  void pause_reading();
  void resume_reading();

  // Half-close: the peer reads what was written and then the end; reading goes on.
  void shutdown();

  // Writes what is queued, closes, then on_close (without an error) from the loop. `linger`: unread
  // input is expected, so go on reading and dropping it for a while: else the kernel would answer
  // it with a reset, and the last answer could be lost on its way (RFC 9112 section 9.6).
  void close(bool linger = false);

  // Ends without waiting, then on_close(error) from the loop. Octets that are queued are dropped;
  // where there are any the peer sees a reset, so that it can't take a part for the whole.
  void fail(std::error_code error) noexcept;

  // Ends at once: the peer sees a reset, on_close(std::errc::connection_aborted) comes from the
  // loop.
  void abort();

  // Gives the socket back, non-blocking; the Stream has ended then, without on_close(), and may be
  // destroyed (a Server does so by itself, soon). Errors: Errc::not_supported with a transport,
  // not_connected once closing or before start(), device_or_resource_busy while something is
  // queued.
  [[nodiscard]] Result<Socket> detach();

  // As start(), for a connection that comes from another process: on_adopt(state) in place of
  // on_open(). Not from a callback of a Stream; not with a transport.
  void start_adopted(std::span<const std::byte> state);

  // Lets `successor` go on with it, if nothing is buffered here and the handler agrees; see
  // on_migrate(). done: it has ended, by on_close() or in on_migrate(), and may be gone. Never with
  // a transport. Not from a callback of a Stream.
  enum class Moved : std::uint8_t { done, not_idle, no_room, never };
  [[nodiscard]] Moved migrate(Successor& successor);

  // ---- For owners that may be destroyed inside this Stream's callbacks. ----

  // Whether one of its callbacks runs.
  [[nodiscard]] bool in_callback() const noexcept;
  // Ends like the destructor, but the memory stays for the callback that runs: all its calls do
  // nothing from here on.
  void end() noexcept;

  // For handlers that said Migration::later, or will: it could be now. Its owner is told, who asks
  // by on_migrate() soon, not from here; costs next to nothing where nobody is interested.
  void offer() noexcept {
    if (owner_ != nullptr) owner_->on_stream_idle(*this);
  }

  // Reads what is there, then asks the handler by on_shutdown() to finish; for servers that go
  // away. Such a Stream does not migrate any more. Where on_open() is to come yet, on_shutdown()
  // comes behind it. Not from a callback of another Stream.
  void request_shutdown();

  [[nodiscard]] bool asked_to_end() const noexcept { return has(kAskedToEnd); }

  // Calls on_timeout() after `timeout` without a read or a write; 0: never. Up to 24 days, rounded
  // up to milliseconds.
  void set_idle_timeout(Duration timeout) noexcept;
  // Not before on_open(). Calls on_timeout() at `deadline`, whatever is read or written; replaces
  // the idle and the write time-out until it passes or set_idle_timeout() is called.
  void set_deadline(TimePoint deadline) noexcept;

  // Each of these goes by itself, whatever the two above say. Durations of zero or less, and
  // TimePoint::max(), switch it off. Precise to a tick (0.52 ms), never early.
  // Calls on_timeout() after `timeout` without a read, again and again; time in which reading is
  // paused, or held back by a full queue or the rate, does not count.
  void set_read_timeout(Duration timeout);
  // Fails with Errc::timed_out after `timeout` in which something was queued and nothing of it
  // left. In place of StreamOptions::write_timeout. While a transport opens, its own limit counts
  // (Transport::open_limit()).
  void set_write_timeout(Duration timeout);
  // Fails with Errc::timed_out at `deadline`, whatever is read or written.
  void set_total_deadline(TimePoint deadline);

  // Octets a second that are read, or written, at the most; 0: no limit. What it may not move now,
  // it moves later; reading leaves it with the kernel, which holds the peer back. After a rest 50
  // ms are made up for, no more.
  void set_read_rate(std::uint64_t octets);
  void set_write_rate(std::uint64_t octets);

  // Counts octets from here on: those given to on_data(), and those the kernel took. 0 before.
  void count_bytes() { extras(); }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept;
  [[nodiscard]] std::uint64_t bytes_written() const noexcept;

  // Until on_timeout(), if nothing moves meanwhile; kForever where that is switched off.
  [[nodiscard]] Duration time_left() const noexcept;

  [[nodiscard]] Loop& loop() const noexcept;
  [[nodiscard]] StreamHandler& handler() const noexcept { return *handler_; }
  // The next callback goes there.
  void set_handler(StreamHandler& handler) noexcept { handler_ = &handler; }
  // From now on; they outlive it.
  void set_options(const StreamOptions& options) noexcept { options_ = &options; }
  [[nodiscard]] int fd() const noexcept { return PollTarget::fd(); }
  // From close(), fail() or an error on: nothing that is written is sent any more.
  [[nodiscard]] bool closing() const noexcept { return (flags_ & kClosing) != 0; }
  // Whether what is written is sent: neither closing, nor after shutdown().
  [[nodiscard]] bool sends() const noexcept { return !has(kClosing | kShutdown); }
  // Whether the peer has half-closed.
  [[nodiscard]] bool ended() const noexcept { return (flags_ & kPeerEnded) != 0; }
  // The socket's addresses, or those of announce(). Errors: those of getpeername(2).
  [[nodiscard]] Result<Address> peer() const;
  [[nodiscard]] Result<Address> local() const;
  // For a connection that a proxy makes for somebody else: what peer() and local() give from now
  // on, until on_close() is over. Takes memory only where it is called. Throws std::bad_alloc.
  void announce(const Address& peer, const Address& local);
  // What it was told; null where nothing.
  [[nodiscard]] const ProxiedAddresses* announced() const noexcept;

 private:
  enum Flag : std::uint16_t {
    kStarted = 1 << 0,         // on_open() was, or is being, called
    kPaused = 1 << 1,          // by pause_reading()
    kHeldBack = 1 << 2,        // by a full write queue, or a file in it
    kPeerEnded = 1 << 3,       // it half-closed
    kShutdown = 1 << 4,        // shutdown() was called
    kFinSent = 1 << 5,         // and done
    kClosing = 1 << 6,         // close() or fail() was called
    kLinger = 1 << 7,          // unread input is expected at the end
    kFailed = 1 << 8,          // the error is with the context
    kClosed = 1 << 9,          // on_close was, or is being, called
    kFixedDeadline = 1 << 10,  // set_deadline()
    kMoreInput = 1 << 11,      // the last read filled its buffer
    kUnattached = 1 << 12,     // not in the loop, but a callback runs, or announce() did
    kQueued = 1 << 13,         // something is yet to be written
    kExtras = 1 << 14,         // there are extras_: neither read nor write is plain
    kAskedToEnd = 1 << 15,     // request_shutdown()
  };
  static constexpr unsigned kNoRead = kPaused | kHeldBack | kPeerEnded | kClosing;
  // Before the next read there is something to look at, or there is none.
  static constexpr unsigned kNoPlainRead = kNoRead | kMoreInput | kExtras;
  static constexpr unsigned kNoPlainWrite = kQueued | kFailed | kExtras;
  static constexpr unsigned kDropsInput = kClosing | kLinger | kQueued;
  struct Extras;  // stream_inside.h

  friend class StreamHandler;  // the default read_buffer()
  friend class NetContext;     // its end

  // Returned by steps after which *this may be gone.
  enum class Alive : bool { no, yes };

  void on_ready(Ready ready) override;
  void on_expire() override;
  void on_loop_end() noexcept override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

  void leave_loop() noexcept;
  // Otherwise the loop may be gone already.
  [[nodiscard]] bool in_use() const noexcept { return attached() || armed() || has(kUnattached); }
  [[nodiscard]] bool has(unsigned flags) const noexcept { return (flags_ & flags) != 0; }
  // While the last answer is written, input is dropped: a peer that sends all before it reads would
  // wait for us, as we for it.
  [[nodiscard]] bool drops_input() const noexcept {
    return (flags_ & (kDropsInput | kPeerEnded | kFailed)) == kDropsInput;
  }
  void set(unsigned flags) noexcept { flags_ = static_cast<std::uint16_t>(flags_ | flags); }
  void clear(unsigned flags) noexcept { flags_ = static_cast<std::uint16_t>(flags_ & ~flags); }
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
  bool flush_buffer(std::unique_ptr<ByteBuffer>& buffer);
  Alive finish();
  // The end is near, and nothing has to be written before.
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
  void arm_timer() noexcept;
  void end_soon() noexcept;
  void update_interest();
  [[nodiscard]] Interest wanted_interest() const noexcept;
  void release_socket();
  void drop_input();

  // With extras:
  Extras& extras();
  Extras& timed_extras();
  [[nodiscard]] bool opening() const noexcept;
  [[nodiscard]] bool before_opening() const noexcept;
  void open_transport();
  void continue_opening();
  IoResult open_once();
  void transport_failed(IoResult result);
  void report_failure(std::error_code error) const;
  void on_ready_slowly(Ready ready);
  Alive read_slowly();
  void read_into(std::span<std::byte> buffer, TimePoint now);
  IoResult send_slowly(std::span<const std::byte> bytes);
  bool flush_slowly();
  bool flush_before_file();
  bool send_piece();
  bool copy_piece(std::size_t most);
  void sent(std::size_t count, TimePoint now) noexcept;
  void end_writing();
  void read_again();
  void update_slowly();
  void watch_times();
  void on_times();
  [[nodiscard]] bool has_room() const noexcept;
  [[nodiscard]] bool has_files() const noexcept;
  [[nodiscard]] Interest slow_interest() const noexcept;

  // The first cache line: with both bases, what each event touches.
  StreamHandler* handler_;
  std::uint16_t flags_ = 0;
  std::uint8_t place_;  // where it was made: NetContext::place()
  std::uint32_t idle_ms_ = 0;
  NetContext* context_;
  const StreamOptions* options_;
  std::unique_ptr<ByteBuffer> queue_;
  StreamOwner* owner_;
  std::unique_ptr<Extras> extras_;
};

}  // namespace reactor
