// SPDX-License-Identifier: MIT
// The file is opened twice: once for this process, and once for the processes that it forks. Each
// open(2) has its own O_NONBLOCK and O_APPEND. So a child that changes these flags can't make the
// parent's writes wait or overwrite each other.
#include "servers/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reactor/base/error.h"
#include "reactor/base/log.h"

namespace servers {
namespace {

// With O_NONBLOCK, opening a FIFO without a reader or a file with a lease fails instead of waiting
// (open(2)), and so does a write to a full pipe.
constexpr int kFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// Opens standard error again, because O_NONBLOCK on the inherited descriptor would affect every
// process that shares it. Returns nothing for a regular file, which needs no O_NONBLOCK. Also
// returns nothing if standard error can't be opened, for example a socket or another user's pipe.
reactor::UniqueFd own_standard_error() {
  if (is_regular(STDERR_FILENO)) return {};
  reactor::UniqueFd fd(::open("/dev/fd/2", kFlags));
  const int flags = fd ? ::fcntl(fd.get(), F_GETFL) : 0;
  if ((flags & O_NONBLOCK) == 0) fd.reset();  // this system's /dev/fd only duplicates
  return fd;
}

// Replaces the file in one step: each line goes either to the old file or to the new one.
void put_in_place(const reactor::UniqueFd& fresh, const reactor::UniqueFd& place) noexcept {
  if (!fresh || !place) return;
  ::dup2(fresh.get(), place.get());
  ::fcntl(place.get(), F_SETFD, FD_CLOEXEC);
}

}  // namespace

std::string why_not_opened(std::error_code error) {
  if (error == std::errc::no_such_device_or_address) return "a FIFO without a reader, or a socket";
  if (error == std::errc::resource_unavailable_try_again) {
    return "another process has a lease on it (fcntl(2))";
  }
  return error.message();
}

reactor::Result<> give_log_file(const std::string& path,
                                const std::optional<reactor::prefork::Identity>& owner) {
  if (path == "-" || !owner || ::geteuid() != 0) return {};
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return {};
  const reactor::UniqueFd fd(::open(path.c_str(), kFlags | O_CREAT | O_NOFOLLOW, 0644));
  if (!fd || ::fstat(fd.get(), &status) != 0) return reactor::last_system_error();
  const bool fresh = S_ISREG(status.st_mode) && status.st_size == 0 && status.st_nlink == 1;
  if (!fresh || status.st_uid != 0 || owner->user == 0) return {};
  if (::fchown(fd.get(), owner->user, owner->group) != 0) return reactor::last_system_error();
  return {};
}

reactor::Result<> LogFile::open() {
  if (!is_file()) {
    file_ = own_standard_error();
    for_children_ = own_standard_error();
    return {};
  }
  reactor::Result<Opened> opened = open_all(true);
  if (!opened) return opened.error();
  file_ = std::move(opened->file);
  for_children_ = std::move(opened->for_children);
  return {};
}

int LogFile::fd() const noexcept { return file_ ? file_.get() : STDERR_FILENO; }

void LogFile::reopen() {
  if (!is_file() || !file_) return;
  const reactor::Result<Opened> fresh = open_all(static_cast<bool>(for_children_));
  if (!fresh) {
    REACTOR_LOG(error, "can't reopen " + path_ + ": " + why_not_opened(fresh.error()) +
                           "; going on with the old file");
    return;
  }
  put_in_place(fresh->file, file_);
  put_in_place(fresh->for_children, for_children_);
}

void LogFile::part_from_parent() noexcept {
  put_in_place(for_children_, file_);
  for_children_.reset();
}

// Opens all or none, so that this process and its children never write to different files.
reactor::Result<LogFile::Opened> LogFile::open_all(bool for_children_too) const {
  reactor::Result<reactor::UniqueFd> file = open_file();
  if (!file) return file.error();
  if (!for_children_too) return Opened{std::move(*file), {}};
  reactor::Result<reactor::UniqueFd> for_children = open_file();
  if (!for_children) return for_children.error();
  return Opened{std::move(*file), std::move(*for_children)};
}

reactor::Result<reactor::UniqueFd> LogFile::open_file() const {
  if (const reactor::Result<> given = give_log_file(path_, owner_); !given) return given.error();
  reactor::UniqueFd fd(::open(path_.c_str(), kFlags | O_CREAT, 0644));
  if (!fd) return reactor::last_system_error();
  return fd;
}

}  // namespace servers
