// SPDX-License-Identifier: MIT
#include "reactor/prefork/pid_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "reactor/base/c_string.h"
#include "reactor/base/error.h"

namespace reactor::prefork {
namespace {

#if defined(F_OFD_SETLK)
constexpr int kSetLock = F_OFD_SETLK;
constexpr int kGetLock = F_OFD_GETLK;
#else
constexpr int kSetLock = F_SETLK;
constexpr int kGetLock = F_GETLK;
#endif

constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;  // a FIFO is refused, not waited for
constexpr pid_t kUnknown = -1;

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool is_locked(int fd) {
  struct flock lock = whole_file();
  return ::fcntl(fd, kGetLock, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Whether the path still names this file: it may have been removed since it was opened.
bool is_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

// The pid in the file; kUnknown where it is empty, 0 where there is something else.
pid_t read_pid(int fd) {
  std::array<char, 32> buffer;
  const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), 0);
  if (count <= 0) return count == 0 ? kUnknown : 0;
  std::string_view text(buffer.data(), static_cast<std::size_t>(count));
  if (text.ends_with('\n')) text.remove_suffix(1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  return error == std::errc{} && end == text.data() + text.size() && pid > 0 ? pid : 0;
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// At no time is it empty: it may hold this pid already, and somebody read it.
std::error_code write_pid(int fd) {
  const std::string line = std::to_string(::getpid()) + "\n";
  const ssize_t written = ::pwrite(fd, line.data(), line.size(), 0);
  if (written < 0) return last_system_error();
  if (written != static_cast<ssize_t>(line.size())) {
    return std::make_error_code(std::errc::no_space_on_device);
  }
  return ::ftruncate(fd, written) == 0 ? std::error_code{} : last_system_error();
}

std::error_code lock(int fd) {
  struct flock wanted = whole_file();
  if (::fcntl(fd, kSetLock, &wanted) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return std::make_error_code(std::errc::device_or_resource_busy);
  }
  return last_system_error();
}

}  // namespace

PidFile::~PidFile() {
  if (!fd_ || owner_ != ::getpid()) return;
  if (!is_at(fd_.get(), path_)) return;
  if (::unlink(path_.c_str()) != 0) [[maybe_unused]]
    const int failed = ::ftruncate(fd_.get(), 0);
}

void PidFile::abandon_in_child() noexcept {
  if (owner_ != ::getpid()) fd_.reset();
}

Result<PidFile> PidFile::take(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | kFlags, 0644));
    if (!fd) return last_system_error();
    if (!is_regular(fd.get())) return std::make_error_code(std::errc::file_exists);
    if (const std::error_code error = lock(fd.get())) return error;
    if (!is_at(fd.get(), path)) continue;  // its owner ended and removed it meanwhile
    if (read_pid(fd.get()) == 0) return std::make_error_code(std::errc::file_exists);
    PidFile file(path, std::move(fd));
    if (const std::error_code error = file.claim()) return error;
    return file;
  }
}

Result<PidFile> PidFile::adopt(const std::string& path, int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return last_system_error();
  if (!is_at(fd, path)) return std::make_error_code(std::errc::no_such_file_or_directory);
  return PidFile(path, UniqueFd(fd));
}

// Where the lock is the open file's, it is held already by whoever shares that.
std::error_code PidFile::claim() {
  if (const std::error_code error = lock(fd_.get())) return error;
  if (const std::error_code error = write_pid(fd_.get())) return error;
  owner_ = ::getpid();
  return {};
}

std::error_code PidFile::check(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  const UniqueFd fd(::open(path.c_str(), O_RDWR | kFlags));
  if (fd) {
    const bool fits = is_regular(fd.get()) && read_pid(fd.get()) != 0;
    return fits ? std::error_code{} : std::make_error_code(std::errc::file_exists);
  }
  if (errno != ENOENT) return last_system_error();
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (path.empty() || ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return path.empty() ? system_error(ENOENT) : last_system_error();
  }
  return {};
}

Result<pid_t> PidFile::holder(const std::string& path) {
  if (!is_c_string(path)) return system_error(EINVAL);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | kFlags));
  if (!fd) {
    if (errno == ENOENT) return 0;
    return last_system_error();
  }
  if (!is_locked(fd.get())) return 0;
  const pid_t pid = read_pid(fd.get());
  return pid > 0 ? pid : kUnknown;
}

}  // namespace reactor::prefork
