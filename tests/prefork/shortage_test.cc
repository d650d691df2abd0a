// SPDX-License-Identifier: MIT
// A read that fails for lack of memory says nothing about the other process, and loses no message.
// In a child, seccomp(2) makes one system call on one descriptor fail.
#if defined(__linux__)
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "reactor/base/error.h"
#include "reactor/prefork/internal/control.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"
#include "reactor/prefork/internal/upgrade.h"
#include "tests/support/fork.h"

namespace reactor::prefork {
namespace {

constexpr int kShortages[] = {ENOMEM, ENOBUFS};

// Lets `call` on `fd` fail with error `number` from now on. A copy of the descriptor still works.
void refuse(long call, int fd, int number) {
  constexpr auto kEqual = BPF_JMP | BPF_JEQ | BPF_K;
  constexpr auto kLoad = BPF_LD | BPF_W | BPF_ABS;
  constexpr auto kReturn = BPF_RET | BPF_K;
  std::array<sock_filter, 6> code{
      sock_filter BPF_STMT(kLoad, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(kEqual, static_cast<unsigned>(call), 0, 3),
      sock_filter BPF_STMT(kLoad, offsetof(seccomp_data, args)),
      sock_filter BPF_JUMP(kEqual, static_cast<unsigned>(fd), 0, 1),
      sock_filter BPF_STMT(kReturn, SECCOMP_RET_ERRNO | static_cast<unsigned>(number)),
      sock_filter BPF_STMT(kReturn, SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(ShortageInAChild, IsNotTheEndOfTheMaster) {
  for (const int number : kShortages) {
    EXPECT_EQ(in_child([number] {
                auto [master, worker] = make_control().value();
                const UniqueFd copy(::dup(worker.fd()));
                ASSERT_TRUE(master.send({.kind = Message::Kind::serve}));
                refuse(SYS_recvmsg, worker.fd(), number);
                const WorkerControl::Received received = worker.receive();
                EXPECT_TRUE(received.later);
                EXPECT_FALSE(received.ended);
                EXPECT_FALSE(received.message);
                Message message;
                EXPECT_EQ(::read(copy.get(), &message, sizeof message), ssize_t{sizeof message});
                EXPECT_EQ(message.kind, Message::Kind::serve);
              }),
              0);
  }
}

TEST(ShortageInAChild, LeavesAConnectionInItsMailbox) {
  for (const int number : kShortages) {
    EXPECT_EQ(in_child([number] {
                Mailboxes boxes;
                ASSERT_FALSE(boxes.grow(1));
                std::array<int, 2> ends{};
                ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
                const UniqueFd ours(ends[0]), theirs(ends[1]);
                const int copy = ::dup(boxes.out_of(0));
                ASSERT_TRUE(boxes.send(0, theirs.get(), {}).value());
                refuse(SYS_recvmsg, boxes.out_of(0), number);
                const Result<MailedConnection> mailed = boxes.receive(boxes.out_of(0));
                ASSERT_FALSE(mailed);
                EXPECT_TRUE(is_transient(mailed.error()));
                EXPECT_TRUE(boxes.receive(copy).value().connection);
              }),
              0);
  }
}

TEST(ShortageInAChild, IsNotTheEndOfTheEarlierProgram) {
  for (const int number : kShortages) {
    EXPECT_EQ(in_child([number] {
                std::array<int, 2> ends{};
                ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
                const UniqueFd old(ends[0]);
                const std::string text = "mailboxes \nend\n";
                ASSERT_EQ(::write(old.get(), text.data(), text.size()),
                          static_cast<ssize_t>(text.size()));
                ::setenv(Upgrade::kName, std::to_string(ends[1]).c_str(), 1);
                Inheritance earlier = Inheritance::take();
                ASSERT_TRUE(earlier);
                earlier.say_ready();
                refuse(SYS_read, earlier.fd(), number);
                EXPECT_FALSE(earlier.end_of_earlier());
                EXPECT_TRUE(earlier);
              }),
              0);
  }
}

}  // namespace
}  // namespace reactor::prefork
#endif  // __linux__
