// SPDX-License-Identifier: MIT
// room_[begin_, end_) has the lines that are still to be written. They are whole lines, except that
// the first one lacks its beginning after a partial write (torn_). After a failed write, only the
// timer tries again, so a log that has no reader costs a few system calls a second instead of one
// for each request.
#include "reactor/http/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/base/internal/sigpipe.h"
#include "reactor/base/log.h"
#include "reactor/http/internal/access_line.h"
#include "reactor/loop/loop.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBatch = 16 * 1024;
constexpr Duration kRetryFull = milliseconds(20);  // the pipe's reader is behind
constexpr Duration kRetryFailed = seconds(1);      // the disk is full, for example
constexpr std::string_view kStandardOutput = "-";

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

bool is_file(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode));
}

bool is_non_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

}  // namespace

// ---- Where to write ----

Result<AccessLog::Target> AccessLog::open_target(const std::string& path) {
  if (!is_c_string(path)) return std::make_error_code(std::errc::invalid_argument);
  return path == kStandardOutput ? open_standard_output() : open_path(path.c_str());
}

Result<AccessLog::Target> AccessLog::open_path(const char* path) {
  constexpr int kFlags = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  constexpr mode_t kMode = 0644;
  UniqueFd fd(::open(path, O_WRONLY | kFlags, kMode));
  // A FIFO without a reader can't be opened for writing only. If it is opened for reading too, it
  // holds the first lines until a reader opens it (fifo(7)).
  if (!fd && errno == ENXIO) fd.reset(::open(path, O_RDWR | kFlags, kMode));
  if (!fd) return last_system_error();
  const Kind kind = is_file(fd.get()) ? Kind::file : Kind::own;
  return Target{std::move(fd), kind};
}

// Opens a pipe or a terminal again through /dev/fd, because O_NONBLOCK on standard output itself
// would apply to every process that shares it. On some systems opening /dev/fd/1 only duplicates
// the descriptor. There the result lacks O_NONBLOCK, so a duplicate is used as Kind::shared.
Result<AccessLog::Target> AccessLog::open_standard_output() {
  const bool file = is_file(STDOUT_FILENO);
  if (!file) {
    UniqueFd own(::open("/dev/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (own && is_non_blocking(own.get())) return Target{std::move(own), Kind::own};
  }
  UniqueFd fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!fd) return last_system_error();
  return Target{std::move(fd), file ? Kind::file : Kind::shared};
}

// Does not open a FIFO, because its reader would see an end of file when the FIFO is closed again.
Result<> AccessLog::check(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode)) {
    if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0) return {};
    return last_system_error();
  }
  const Result<Target> target = open_target(path);
  if (!target) return target.error();
  return {};
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(Loop& loop, Options options) {
  Result<Target> target = open_target(options.path);
  if (!target) return target.error();
  ::tzset();  // localtime_r(3) need not call it
  return std::unique_ptr<AccessLog>(
      new AccessLog(loop, std::move(options), std::move(target).value()));
}

AccessLog::AccessLog(Loop& loop, Options options, Target target)
    : loop_(loop),
      options_(std::move(options)),
      target_(std::move(target)),
      timer_(loop.timer([this] { on_timer(); })),
      report_timer_(loop.timer([this] { tell_losses(); })),
      process_(process_generation()) {
  timer_.unref();
  report_timer_.unref();
}

AccessLog::~AccessLog() {
  if (process_ != process_generation()) return;
  write_batch();
  const std::string_view left = pending();
  lost_ += static_cast<std::uint64_t>(std::count(left.begin(), left.end(), '\n'));
  tell_at_ = TimePoint::min();
  tell_losses();
}

Result<> AccessLog::reopen() {
  if (options_.path == kStandardOutput) return {};
  Result<Target> target = open_target(options_.path);
  if (!target) return target.error();
  adopt_process();
  write_batch();
  lose_torn();
  target_ = std::move(target).value();
  flush();
  return {};
}

// ---- Lines ----

void AccessLog::add(const Entry& entry) noexcept {
  adopt_process();
  if (kRoom - end_ < kMostAccessLine) make_room();  // moves the lines to the front
  if (kRoom - end_ < kMostAccessLine) {
    ++lost_;
    return;
  }
  const std::span<char> room = std::span(room_).subspan(end_);
  end_ += format_access_line(room, options_.format, entry, stamp());
  if (error_ != 0) return;  // the timer is running
  if (end_ - begin_ >= kBatch) {
    flush();
  } else if (!timer_.active()) {
    timer_.start(options_.batch_time);
  }
}

std::string_view AccessLog::stamp() {
  const TimePoint now = loop_.now();
  if (now >= stamp_until_) {
    timespec wall{};
    ::clock_gettime(CLOCK_REALTIME, &wall);
    stamp_size_ = format_access_stamp(stamp_, options_.format, wall.tv_sec);
    stamp_until_ = now + seconds(1) - Duration(wall.tv_nsec);
  }
  return {stamp_.data(), stamp_size_};
}

std::string_view AccessLog::pending() const noexcept {
  return {room_.data() + begin_, end_ - begin_};
}

// Lines that were collected before a fork are written by the parent. The child drops them here.
void AccessLog::adopt_process() noexcept {
  if (process_ == process_generation()) [[likely]]
    return;
  process_ = process_generation();
  begin_ = end_ = 0;
  lost_ = told_ = 0;
  error_ = 0;
  torn_ = false;
}

void AccessLog::make_room() noexcept {
  const std::size_t size = end_ - begin_;
  std::memmove(room_.data(), room_.data() + begin_, size);
  begin_ = 0;
  end_ = size;
}

// ---- Writing ----

void AccessLog::flush() noexcept {
  adopt_process();
  write_batch();
  if (error_ != 0) timer_.start(would_block(error_) ? kRetryFull : kRetryFailed);
}

void AccessLog::on_timer() {
  flush();
  tell_losses();
}

void AccessLog::write_batch() noexcept {
  error_ = 0;
  while (error_ == 0 && begin_ < end_) {
    const std::string_view text = pending().substr(0, piece_of(pending()));
    const auto written = write_piece(text);
    if (written <= 0) {
      if (written == 0) error_ = EAGAIN;  // no reason is known
      break;
    }
    begin_ += static_cast<std::size_t>(written);
    torn_ = room_[begin_ - 1] != '\n';
    if (torn_) error_ = EAGAIN;
  }
  if (error_ != 0) reason_ = error_;
  if (begin_ == end_) begin_ = end_ = 0;
}

// Returns how many bytes of the text to pass to the next write(2). A file gets the whole text. A
// pipe gets as many whole lines as fit into PIPE_BUF bytes, because a pipe takes a write of up to
// PIPE_BUF bytes either whole or not at all (pipe(7)).
std::size_t AccessLog::piece_of(std::string_view text) const noexcept {
  if (target_.kind == Kind::file || text.size() <= PIPE_BUF) return text.size();
  const std::size_t last = text.rfind('\n', PIPE_BUF - 1);
  return (last != std::string_view::npos ? last : text.find('\n')) + 1;
}

// Returns the result of write(2), or -1 if poll(2) says that there is no room. Sets error_ whenever
// it returns -1.
ssize_t AccessLog::write_piece(std::string_view text) noexcept {
  const int fd = target_.fd.get();
  if (target_.kind == Kind::shared) {
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) == 0) {
      error_ = EAGAIN;
      return -1;
    }
  }
  const auto write = [&] {
    ssize_t written = 0;
    do {
      written = ::write(fd, text.data(), text.size());
    } while (written < 0 && errno == EINTR);
    if (written < 0) error_ = errno;
    return written;
  };
  if (target_.kind == Kind::file) return write();
  SigpipeBlock block;
  const ssize_t written = write();
  block.take_back(written, text.size());
  return written;
}

// Drops the rest of a line whose first part went to the previous file.
void AccessLog::lose_torn() noexcept {
  if (!torn_) return;
  begin_ += pending().find('\n') + 1;
  if (begin_ == end_) begin_ = end_ = 0;
  torn_ = false;
  ++lost_;
}

void AccessLog::tell_losses() {
  if (lost_ == told_) return;
  if (loop_.now() < tell_at_) {
    if (!report_timer_.active()) report_timer_.start(tell_at_ - loop_.now());
    return;
  }
  REACTOR_LOG(warn, "access log " + options_.path + ": " + std::to_string(lost_ - told_) +
                        " lines lost: " + system_error(reason_).message());
  told_ = lost_;
  tell_at_ = saturating_add(loop_.now(), options_.report_interval);
}

}  // namespace reactor::http
