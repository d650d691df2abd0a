// SPDX-License-Identifier: MIT
// Waits without epoll_pwait2(2), as before Linux 5.11: the timeout is in whole milliseconds.
#if defined(__linux__)
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>

#include "reactor/base/clock.h"
#include "reactor/poller/internal/poller.h"
#include "tests/support/fork.h"

namespace reactor {
namespace {

#if defined(SYS_epoll_pwait2)
// From here on epoll_pwait2(2) fails in this process, as on an older kernel. Returns false if
// seccomp(2) can't do that.
bool take_away_pwait2() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(EpollWithoutPwait2Fork, IsNeverEarly) {
  const auto checks = [] {
    if (!take_away_pwait2()) return;
    const auto poller = make_poller(Backend::epoll, nullptr).value();
    std::array<PollEvent, 8> events{};
    for (const Duration timeout : {Duration(1), Duration(1'500'000), Duration(3'000'000)}) {
      for (int round = 0; round < 3; ++round) {
        const TimePoint begin = monotonic_now();
        EXPECT_EQ(poller->wait(events, timeout).value(), 0U);
        EXPECT_GE(monotonic_now() - begin, timeout);
      }
    }
  };
  EXPECT_EQ(in_child(checks), 0);
}
#endif

}  // namespace
}  // namespace reactor
#endif
