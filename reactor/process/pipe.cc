// SPDX-License-Identifier: MIT
// Three kinds of descriptors need three ways to be read without blocking the loop:
//
//   pipe, FIFO or terminal        non-blocking: PipeTransport
//   shared with other processes   its flags stay: SharedTransport asks poll(2) before each call
//   file, /dev/null               no poller takes it: FileTransport, beside a descriptor that is
//                                 always ready
#include "reactor/process/pipe.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/process/internal/unix_pipe.h"
#include "reactor/process/pipe_transport.h"

namespace reactor {
namespace {

// SharedTransport is for a descriptor that is shared with other processes. It may be blocking,
// because those processes need it so.
class SharedTransport final : public Transport {
 public:
  explicit SharedTransport(int fd) noexcept : pipe_(fd) {}

  IoResult read(int fd, std::span<std::byte> buffer) override {
    return is_ready(fd, POLLIN) ? pipe_.read(fd, buffer) : IoResult::blocked();
  }
  // A pipe that is ready for writing takes PIPE_BUF bytes without waiting (pipe(7)).
  IoResult write(int fd, std::span<const std::byte> bytes) override {
    constexpr std::size_t kMost = PIPE_BUF;
    if (!is_ready(fd, POLLOUT)) return IoResult::blocked();
    return pipe_.write(fd, bytes.first(std::min(bytes.size(), kMost)));
  }
  IoResult end_writing(int fd) noexcept override { return pipe_.end_writing(fd); }
  [[nodiscard]] bool can_read() const noexcept override { return pipe_.can_read(); }

 private:
  static bool is_ready(int fd, short events) noexcept {
    pollfd entry{fd, events, 0};
    return ::poll(&entry, 1, 0) == 1;
  }

  PipeTransport pipe_;
};

// FileTransport is for files. No poller accepts files, because they are always ready. So the Stream
// watches a descriptor of another kind, which is always ready too (open_file()).
class FileTransport final : public Transport {
 public:
  explicit FileTransport(UniqueFd file) noexcept : file_(std::move(file)), pipe_(file_.get()) {}

  IoResult read(int, std::span<std::byte> buffer) override {
    return pipe_.read(file_.get(), buffer);
  }
  IoResult write(int, std::span<const std::byte> bytes) override {
    return pipe_.write(file_.get(), bytes);
  }
  IoResult end_writing(int) noexcept override { return pipe_.end_writing(file_.get()); }
  [[nodiscard]] bool can_read() const noexcept override { return pipe_.can_read(); }
  void release() noexcept override { file_.reset(); }

 private:
  UniqueFd file_;
  PipeTransport pipe_;
};

using Opened = Result<std::unique_ptr<Stream>>;

Opened make(Loop& loop, UniqueFd fd, std::unique_ptr<Transport> transport, StreamHandler& handler,
            const StreamOptions& options, SourceLocation where) {
  auto stream = std::make_unique<Stream>(loop, Socket::as_it_is(std::move(fd)), handler, options,
                                         nullptr, where);
  stream->set_transport(std::move(transport));
  return stream;
}

// Gives the Stream a descriptor to watch: the reading end of a pipe without a writer, which is
// always readable on every backend.
Opened open_file(Loop& loop, UniqueFd file, StreamHandler& handler, const StreamOptions& options,
                 SourceLocation where) {
  Result<PipeEnds> pipe = make_pipe_ends();
  if (!pipe) return pipe.error();
  auto transport = std::make_unique<FileTransport>(std::move(file));
  return make(loop, std::move(pipe->read), std::move(transport), handler, options, where);
}

// Returns no error if the loop's poller takes `fd`; Errc::not_pollable for files.
std::error_code try_to_watch(Loop& loop, int fd) {
  const Result<IoWatcher> probe = loop.watch(fd, Interest::read, [](Ready) {});
  return probe ? std::error_code{} : probe.error();
}

}  // namespace

Opened open_pipe(Loop& loop, UniqueFd fd, StreamHandler& handler, const StreamOptions& options,
                 SourceLocation where) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return last_system_error();
  const std::error_code error = try_to_watch(loop, fd.get());
  if (error == Errc::not_pollable) return open_file(loop, std::move(fd), handler, options, where);
  if (error) return error;
  if (::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) return last_system_error();
  auto transport = std::make_unique<PipeTransport>(fd.get());
  return make(loop, std::move(fd), std::move(transport), handler, options, where);
}

Opened open_shared_pipe(Loop& loop, int fd, StreamHandler& handler, const StreamOptions& options,
                        SourceLocation where) {
  // A terminal is opened a second time, because asking it for room does not help: it may take one
  // byte and block at the next.
  if (Result<UniqueFd> own = reopen_terminal(fd)) {
    return open_pipe(loop, std::move(*own), handler, options, where);
  }
  Result<UniqueFd> copy = copy_descriptor(fd);
  if (!copy) return copy.error();
  const std::error_code error = try_to_watch(loop, copy->get());
  if (error == Errc::not_pollable) {
    return open_file(loop, std::move(*copy), handler, options, where);
  }
  if (error) return error;
  auto transport = std::make_unique<SharedTransport>(copy->get());
  return make(loop, std::move(*copy), std::move(transport), handler, options, where);
}

}  // namespace reactor
