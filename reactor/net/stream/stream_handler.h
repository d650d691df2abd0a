// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

#include "reactor/net/hand_over.h"

namespace reactor {

class Stream;

// StreamOwner owns a Stream without being its handler, as a Server does.
class StreamOwner {
 public:
  // Called after on_close() or detach() if the Stream still exists: the owner may destroy it now.
  virtual void on_stream_closed(Stream& stream) noexcept = 0;

  // Called by Stream::notify_idle(), so maybe inside the Stream's callbacks: do nothing to the
  // Stream yet.
  virtual void on_stream_idle(Stream& stream) noexcept;

 protected:
  ~StreamOwner() = default;
};

// StreamHandler has the callbacks of a Stream. One object may serve many Streams. It can't be
// deleted through this class.
class StreamHandler {
 public:
  // The Stream was started. A protocol in which the server speaks first sends its greeting here.
  virtual void on_open(Stream& stream);

  // Returns the buffer for the next bytes, which must stay valid until on_data() returns. Default:
  // the loop's 64 KiB of scratch memory. An empty buffer pauses reading until resume_reading().
  // on_data() does not follow if this call pauses, closes or fails the Stream.
  virtual std::span<std::byte> read_buffer(Stream& stream);

  // `bytes` were read: at least one byte, at most one buffer's worth in a turn. They are yours to
  // overwrite until on_data() returns. AddressSanitizer builds then poison the scratch memory.
  // An exception out of this or any other callback leaves Loop::run(), and the Stream stays open.
  // In a prefork worker the exception ends the worker, so catch it there and fail() the Stream.
  virtual void on_data(Stream& stream, std::span<std::byte> bytes) = 0;

  // The peer will send no more. Default: close(), which writes the queue first.
  virtual void on_end(Stream& stream);

  // The write queue was above the high-water mark, or had a file in it (Stream::send_file()). Now
  // it has fallen to the low-water mark and has no file.
  virtual void on_drain(Stream& stream);

  // The write queue is empty: the kernel has taken all of it. Called after on_drain().
  virtual void on_flushed(Stream& stream);

  // The idle timeout, the read timeout or the deadline passed. Default: fail with Errc::timed_out.
  virtual void on_timeout(Stream& stream);

  // Stream::call_soon() was called. Default: nothing.
  virtual void on_call(Stream& stream);

  // The server is ending: finish the work in progress, then close. Called once, even if it throws.
  // Default: close().
  virtual void on_shutdown(Stream& stream);

  // Asks whether another process may continue this connection (Service::hand_over()). Called only
  // if none of its bytes are buffered here. Return
  //   now    to agree. Put everything that on_adopt() needs in the other process into `state`,
  //          which is empty. If the move succeeds, on_close() follows without an error.
  //   later  to be asked again.
  //   no     to keep the connection here (the default). on_shutdown() follows.
  virtual HandOver on_hand_over(Stream& stream, std::vector<std::byte>& state);

  // Called instead of on_open() for a connection that another process handed over. That process may
  // have run another version of the program, so do not trust `state`. Default: on_open().
  virtual void on_adopt(Stream& stream, std::span<const std::byte> state);

  // The Stream has ended: by close() (no error), by an error, or by a timeout. Called once, never
  // from inside close() or write(), and never if the Stream was destroyed first. The socket is
  // closed already; the Stream may be destroyed here.
  virtual void on_close(Stream& stream, std::error_code error) noexcept;

  // The Loop is being destroyed while this Stream is still in it: drop everything that would use
  // the Stream later. on_close() is not called. From here on, do nothing with the Stream except
  // destroy it, now or later. Default: does nothing.
  virtual void on_loop_end(Stream& stream) noexcept;

 protected:
  StreamHandler() = default;
  StreamHandler(const StreamHandler&) = default;
  StreamHandler& operator=(const StreamHandler&) = default;
  ~StreamHandler() = default;
};

}  // namespace reactor
