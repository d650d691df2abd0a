// SPDX-License-Identifier: MIT
// PidFile: pid_file.h explains the locks. The guard is held without a gap from take() to the end of
// the last program that took over in an upgrade. So no other server can take the file in between.
#include "reactor/prefork/pid_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"

namespace reactor::prefork {
namespace {

#if defined(F_OFD_SETLK)
constexpr int kSetLock = F_OFD_SETLK;
constexpr int kGetLock = F_OFD_GETLK;
#else
constexpr int kSetLock = F_SETLK;
constexpr int kGetLock = F_GETLK;
#endif

// O_NONBLOCK makes open(2) refuse a FIFO instead of waiting for its other end.
constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
constexpr pid_t kUnknown = -1;
constexpr std::size_t kLongestText = 32;  // bytes; a longer file is not a pid file

constexpr off_t kGuard = 0;
constexpr off_t kNames = 1;  // the first of the name bytes

// `length` 0 covers all offsets from `start` on.
struct flock lock_at(off_t start, off_t length, int type) {
  struct flock lock {};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

// Whether any process has a lock on the guard byte.
bool is_guarded(int fd) {
  struct flock lock = lock_at(kGuard, 1, F_WRLCK);
  return ::fcntl(fd, kGetLock, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Returns the process whose name lock conflicts with a lock of this type; 0 if it has no pid here.
std::optional<pid_t> named(int fd, int type) {
  struct flock lock = lock_at(kNames, 0, type);
  if (::fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return {};
  return std::max<pid_t>(lock.l_pid, 0);
}

// Whether the path still names this file. The file may have been removed since it was opened.
bool names(const std::string& path, int fd) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

// Returns the pid in the file; kUnknown if the file is empty, 0 if it holds something else.
Result<pid_t> read_pid(int fd) {
  std::array<char, kLongestText> buffer;
  const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), 0);
  if (count < 0) return last_system_error();
  if (count == 0) return kUnknown;
  std::string_view text(buffer.data(), static_cast<std::size_t>(count));
  while (text.ends_with('\n')) text.remove_suffix(1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  return error == std::errc{} && end == text.data() + text.size() && pid > 0 ? pid : 0;
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// Overwrites before it truncates, so that another process that reads the file never finds it empty.
// Line feeds overwrite the rest of a longer pid, whose last digits would otherwise look like a
// second line until the file is truncated.
std::error_code write_pid(int fd) {
  std::string text = std::to_string(::getpid()) + "\n";
  const std::size_t size = text.size();
  struct stat status {};
  if (::fstat(fd, &status) != 0) return last_system_error();
  text.resize(std::clamp(static_cast<std::size_t>(status.st_size), size, kLongestText), '\n');
  const ssize_t written = ::pwrite(fd, text.data(), text.size(), 0);
  if (written < 0) return last_system_error();
  if (written != static_cast<ssize_t>(text.size())) {
    return std::make_error_code(std::errc::no_space_on_device);
  }
  return ::ftruncate(fd, static_cast<off_t>(size)) == 0 ? std::error_code{} : last_system_error();
}

std::error_code set_lock(int fd, int command, struct flock lock) {
  if (::fcntl(fd, command, &lock) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return std::make_error_code(std::errc::device_or_resource_busy);
  }
  return last_system_error();
}

std::error_code guard(int fd, int type) { return set_lock(fd, kSetLock, lock_at(kGuard, 1, type)); }

std::error_code tell_name(int fd, int type) {
  return set_lock(fd, F_SETLK, lock_at(kNames + ::getpid(), 1, type));
}

}  // namespace

void PidFile::remove() noexcept {
  if (!fd_ || owner_ != ::getpid()) return;
  const UniqueFd file = std::move(fd_);
  if (!names(path_, file.get())) return;
  if (::unlink(path_.c_str()) != 0) [[maybe_unused]]
    const int failed = ::ftruncate(file.get(), 0);
}

bool PidFile::is_at(const std::string& path) const { return fd_ && names(path, fd_.get()); }

void PidFile::abandon_in_child() noexcept {
  if (owner_ != ::getpid()) fd_.reset();
}

Result<PidFile> PidFile::take(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | kFlags, 0644));
    if (!fd) return last_system_error();
    if (!is_regular(fd.get())) return std::make_error_code(std::errc::file_exists);
    if (const std::error_code error = guard(fd.get(), F_WRLCK)) return error;
    if (!names(path, fd.get())) continue;  // the owner ended and removed the file meanwhile
    const Result<pid_t> there = read_pid(fd.get());
    if (!there) return there.error();
    if (*there == 0) return std::make_error_code(std::errc::file_exists);
    PidFile file(path, std::move(fd));
    const std::error_code error = file.claim();
    if (!error) return file;
    ::unlink(path.c_str());
    return error;
  }
}

Result<PidFile> PidFile::adopt(const std::string& path, int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return last_system_error();
  UniqueFd file(fd);
  if (!names(path, fd)) return std::make_error_code(std::errc::no_such_file_or_directory);
  return PidFile(path, std::move(file));
}

// If the guard is a lock of the open file, guard() also succeeds in the new program of an upgrade:
// it shares the open file, and so the guard, with the old program.
std::error_code PidFile::claim() {
  if (!writable_) return {};
  if (const std::error_code error = guard(fd_.get(), F_WRLCK)) return error;
  if (read_pid(fd_.get()).value_or(kUnknown) != ::getpid()) {
    if (const std::error_code error = write_pid(fd_.get())) return error;
  }
  owner_ = ::getpid();
  return tell_name(fd_.get(), F_WRLCK);
}

std::error_code PidFile::give_up_writing() {
  if (!fd_ || !writable_ || owner_ != ::getpid()) return {};
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | kFlags));
  if (!reader) return last_system_error();
  if (!names(path_, reader.get()) || !names(path_, fd_.get())) {
    return std::make_error_code(std::errc::no_such_file_or_directory);
  }
  // Two shared locks can overlap, so the file is guarded at every moment.
  if (const std::error_code error = guard(fd_.get(), F_RDLCK)) return error;
  if (const std::error_code error = guard(reader.get(), F_RDLCK)) return error;
  fd_ = std::move(reader);
  writable_ = false;
  // Closing the other descriptor dropped all locks of the process, so they are set again.
  if (const std::error_code error = guard(fd_.get(), F_RDLCK)) return error;
  return tell_name(fd_.get(), F_RDLCK);
}

std::error_code PidFile::check(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  const UniqueFd fd(::open(path.c_str(), O_RDWR | kFlags));
  if (fd) {
    if (!is_regular(fd.get())) return std::make_error_code(std::errc::file_exists);
    const Result<pid_t> there = read_pid(fd.get());
    if (!there) return there.error();
    return *there != 0 ? std::error_code{} : std::make_error_code(std::errc::file_exists);
  }
  if (errno != ENOENT) return last_system_error();
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (path.empty() || ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return path.empty() ? system_error(ENOENT) : last_system_error();
  }
  return {};
}

Result<PidFile::Holder> PidFile::holder(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | kFlags));
  if (!fd) {
    if (errno == ENOENT) return Holder{};
    return last_system_error();
  }
  if (!is_guarded(fd.get())) return Holder{};
  std::optional<pid_t> pid = named(fd.get(), F_RDLCK);
  if (!pid) {
    pid = named(fd.get(), F_WRLCK);
    if (pid && *pid != read_pid(fd.get()).value_or(0)) pid = 0;
  }
  if (!pid) return Holder{Holder::Kind::starting, 0};
  if (*pid == 0) return Holder{Holder::Kind::unnamed, 0};
  return Holder{Holder::Kind::process, *pid};
}

}  // namespace reactor::prefork
