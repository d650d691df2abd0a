// SPDX-License-Identifier: MIT
#include "tests/support/kqueue/knote.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace reactor::kqueue_model {
namespace {

constexpr int kActions = EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_RECEIPT;

Kind kind_of(mode_t mode) {
  if (S_ISREG(mode) || S_ISDIR(mode)) return Kind::file;
  if (S_ISFIFO(mode)) return Kind::pipe;
  if (S_ISSOCK(mode)) return Kind::socket;
  return Kind::other;
}

// Returns the number of bytes to read in a ready descriptor. Returns 1 if the descriptor can't tell
// the number, as a listening socket can't: it is ready, so it has something.
std::intptr_t readable_bytes(int fd) {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 1;
}

std::intptr_t room_in_pipe(int fd) {
  const int size = ::fcntl(fd, F_GETPIPE_SZ);
  return std::max<std::intptr_t>(size - readable_bytes(fd), 0);
}

std::intptr_t room_in_socket(int fd) {
  int size = 0;
  int used = 0;
  socklen_t length = sizeof(size);
  if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) != 0) return 1;
  if (::ioctl(fd, SIOCOUTQ, &used) != 0) return 1;
  return std::max(size - used, 0);
}

std::intptr_t bytes_to_end(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return 0;
  return status.st_size - std::max<off_t>(::lseek(fd, 0, SEEK_CUR), 0);
}

bool nobody_reads(int fd) {
  pollfd entry{fd, POLLOUT, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLERR) != 0;
}

}  // namespace

int Knote::attach(const struct kevent& change) {
  registered_ = change;
  registered_.flags = static_cast<unsigned short>(change.flags & ~kActions);
  disabled_ = (change.flags & EV_DISABLE) != 0;
  return change.filter == EVFILT_PROC ? attach_process(change) : attach_descriptor(change);
}

// A process that has exited but was not yet waited for is found, too, and reported at once.
int Knote::attach_process(const struct kevent& change) {
  if (change.fflags != NOTE_EXIT) return EINVAL;
  kind_ = Kind::process;
  stand_in_ = RealFd(static_cast<int>(::syscall(SYS_pidfd_open, change.ident, 0)));
  if (stand_in_) return 0;
  return errno == EINVAL ? ESRCH : errno;
}

int Knote::attach_descriptor(const struct kevent& change) {
  const int fd = static_cast<int>(change.ident);
  struct stat status {};
  if (::fstat(fd, &status) != 0) return errno;
  kind_ = kind_of(status.st_mode);
  if (kind_ == Kind::pipe && change.filter == EVFILT_WRITE && nobody_reads(fd)) return EPIPE;
  if (kind_ == Kind::file) {
    stand_in_ = RealFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!stand_in_) return errno;
  }
  return 0;
}

void Knote::touch(const struct kevent& change) noexcept {
  registered_.udata = change.udata;  // every change stores udata, not only EV_ADD
  if ((change.flags & EV_DISABLE) != 0) {
    disabled_ = true;
  } else if ((change.flags & (EV_ADD | EV_ENABLE)) != 0) {
    disabled_ = false;
  }
}

int Knote::descriptor() const noexcept {
  return stand_in_ ? stand_in_.get() : static_cast<int>(registered_.ident);
}

std::uint32_t Knote::epoll_events() const noexcept {
  std::uint32_t events =
      registered_.filter == EVFILT_WRITE ? std::uint32_t{EPOLLOUT} : std::uint32_t{EPOLLIN};
  if (registered_.filter == EVFILT_READ && kind_ == Kind::socket) events |= EPOLLRDHUP;
  if (has(EV_CLEAR)) events |= EPOLLET;
  return events;
}

struct kevent Knote::report(std::uint32_t epoll_events) const {
  struct kevent event = registered_;
  event.fflags = 0;
  event.data = 0;
  if (registered_.filter == EVFILT_PROC) {
    report_exit(event);
  } else if (registered_.filter == EVFILT_READ) {
    report_read(event, epoll_events);
  } else {
    report_write(event, epoll_events);
  }
  // In the kernels, fflags holds the so_error of a socket that has failed. Reading it here
  // (SO_ERROR) would clear it, so the model always reports the most likely error.
  const bool failed = (epoll_events & EPOLLERR) != 0 && kind_ == Kind::socket;
  if (failed && (event.flags & EV_EOF) != 0) event.fflags = ECONNRESET;
  return event;
}

void Knote::report_read(struct kevent& event, std::uint32_t epoll_events) const {
  const int fd = static_cast<int>(registered_.ident);
  event.data = kind_ == Kind::file ? bytes_to_end(fd) : readable_bytes(fd);
  std::uint32_t end = EPOLLHUP | EPOLLRDHUP;
  // EPOLLERR means that this is the write end, and no read end is left.
  if (kind_ == Kind::pipe) end |= EPOLLERR;
  if ((epoll_events & end) != 0) event.flags |= EV_EOF;
}

void Knote::report_write(struct kevent& event, std::uint32_t epoll_events) const {
  const int fd = static_cast<int>(registered_.ident);
  if (kind_ == Kind::pipe) event.data = room_in_pipe(fd);
  if (kind_ == Kind::socket) event.data = room_in_socket(fd);
  std::uint32_t end = EPOLLHUP;
  if (kind_ == Kind::pipe) end |= EPOLLERR;
  if ((epoll_events & end) != 0) event.flags |= EV_EOF;
}

void Knote::report_exit(struct kevent& event) const {
  event.fflags = NOTE_EXIT;
  event.flags |= EV_EOF | EV_ONESHOT;
  siginfo_t info{};
  const auto pid = static_cast<id_t>(registered_.ident);
  if (::waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
  event.data = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
}

}  // namespace reactor::kqueue_model
