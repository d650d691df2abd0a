// SPDX-License-Identifier: MIT
// Isolation: the order of the steps matters. The process leaves the terminal while it has the
// master's rights. Then it changes its identity, and at last it gives up the rights that remain.
#include "reactor/prefork/internal/system/isolation.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <string>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/base/unique_fd.h"
#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace reactor::prefork {
namespace {

// Whether this program opened `fd`: its descriptors are close-on-exec.
bool is_ours(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) != 0;
}

// Makes standard input empty. Closes it if there is no /dev/null, as in a bare chroot.
void empty_standard_input() noexcept {
  if (is_ours(STDIN_FILENO)) return;
  ::close(STDIN_FILENO);
  const int opened = ::open("/dev/null", O_RDONLY | O_NOCTTY);  // takes the lowest free number
  if (opened > STDERR_FILENO) ::close(opened);
}

void stop_reading_terminal(int fd) noexcept {
  std::array<char, PATH_MAX> name;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || ::isatty(fd) == 0) return;
  if (::ttyname_r(fd, name.data(), name.size()) != 0) return;
  const UniqueFd opened(::open(name.data(), O_WRONLY | O_NOCTTY | O_CLOEXEC | (flags & O_APPEND)));
  if (opened) ::dup2(opened.get(), fd);  // if that failed, log lines matter more
}

}  // namespace

bool take_identity(const std::optional<Identity>& identity) {
  if (!identity) return true;
  const std::error_code error = drop_to(*identity);
  if (!error) return true;
  REACTOR_LOG(error, "can't become user " + std::to_string(identity->user) + ", group " +
                         std::to_string(identity->group) + ": " + error.message());
  return false;
}

bool isolate_worker(const std::optional<Identity>& identity) {
  std::error_code error = leave_terminal();
  if (!error && !take_identity(identity)) return false;
  if (!error && !identity) error = give_up_rights(::geteuid());
  if (error) REACTOR_LOG(error, "can't isolate a worker from its master: " + error.message());
  return !error;
}

std::error_code leave_terminal() noexcept {
  if (::setsid() < 0) return last_system_error();
  empty_standard_input();
  stop_reading_terminal(STDOUT_FILENO);
  stop_reading_terminal(STDERR_FILENO);
  return {};
}

std::error_code give_up_rights([[maybe_unused]] uid_t master) noexcept {
#if defined(__linux__)
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return last_system_error();
  if (::geteuid() != master && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return last_system_error();
  }
#endif
  return {};
}

}  // namespace reactor::prefork
