// SPDX-License-Identifier: MIT
// The parent forks a helper and waits for its result until the deadline. The helper runs the job
// and writes the result to a pipe:
//
//   parent: fork --> read_answer() --> kill, reap() --> the result, timed_out or unexpected_end
//   helper:   job() --> write(result, kComplete) --> _exit
#include "servers/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "reactor/base/error.h"
#include "reactor/base/unique_fd.h"

namespace servers {
namespace {

constexpr reactor::Duration kReapLimit = std::chrono::milliseconds(500);
constexpr char kComplete = '.';  // ends a complete result; a process that was killed writes none

[[noreturn]] void answer(reactor::Callback<std::string()>& job, int channel,
                         reactor::Duration limit) {
  // If the parent dies, no process kills this one, so it ends itself.
  ::alarm(static_cast<unsigned>(limit / std::chrono::seconds(1)) + 1);
  try {
    const std::string text = job() + kComplete;
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t count = ::write(channel, text.data() + at, text.size() - at);
      if (count < 0) ::_exit(1);
      at += static_cast<std::size_t>(count);
    }
  } catch (...) {
    ::_exit(1);  // never return into the parent's code
  }
  ::_exit(0);
}

int milliseconds_until(reactor::TimePoint deadline) {
  const reactor::Duration left = deadline - reactor::monotonic_now();
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::max<decltype(count)>(count, 0));
}

reactor::Result<std::string> read_answer(int channel, reactor::TimePoint deadline) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    pollfd wait{channel, POLLIN, 0};
    const int ready = ::poll(&wait, 1, milliseconds_until(deadline));
    if (ready == 0) return reactor::Errc::timed_out;
    if (ready < 0 && errno == EINTR) continue;
    const ssize_t count = ::read(channel, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  if (!text.ends_with(kComplete)) return reactor::Errc::unexpected_end;
  text.pop_back();
  return text;
}

// Waits for the process to end, but at most kReapLimit. A process that waits for a device ends only
// when the device answers, even after SIGKILL. Such a process remains unreaped.
void reap(pid_t pid) {
  const reactor::TimePoint end = reactor::saturating_add(reactor::monotonic_now(), kReapLimit);
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0 && reactor::monotonic_now() < end) {
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace

reactor::Result<std::string> ask_helper(reactor::Callback<std::string()> job,
                                        reactor::Duration limit) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return reactor::last_system_error();
  reactor::UniqueFd ours(ends[0]);
  reactor::UniqueFd theirs(ends[1]);
  for (const int fd : ends) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const pid_t pid = ::fork();
  if (pid < 0) return reactor::last_system_error();
  if (pid == 0) answer(job, theirs.get(), limit);
  theirs.reset();
  auto result = read_answer(ours.get(), reactor::saturating_add(reactor::monotonic_now(), limit));
  ::kill(pid, SIGKILL);
  reap(pid);
  return result;
}

}  // namespace servers
