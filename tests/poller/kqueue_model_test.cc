// SPDX-License-Identifier: MIT
// Tests the promises of kqueue(2). If the kernel has no kqueue, this runs on libkqueue or on the
// model of tests/support/kqueue; these tests are what the model is judged by. The backend does not
// depend on the promises that libkqueue breaks.
#if __has_include(<sys/event.h>)

#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <vector>

#include "reactor/base/clock.h"
#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/libkqueue.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

using Events = std::vector<struct kevent>;

constexpr timespec kNow{0, 0};
constexpr timespec kLong{10, 0};

class Kqueue : public ::testing::Test {
 protected:
  Kqueue() : kq_(::kqueue()) { EXPECT_TRUE(kq_); }

  static struct kevent entry(int ident, int filter, int flags, std::uintptr_t udata = 0) {
    struct kevent result {};
    result.ident = static_cast<std::uintptr_t>(ident);
    result.filter = static_cast<decltype(result.filter)>(filter);
    result.flags = static_cast<decltype(result.flags)>(flags);
    result.udata = reinterpret_cast<decltype(result.udata)>(udata);
    return result;
  }
  // Makes one change. Returns an errno value, 0 for success.
  int change(const UniqueFd& fd, int filter, int flags, std::uintptr_t udata = 0) {
    return change(entry(fd.get(), filter, flags, udata));
  }
  int change(const struct kevent& one) {
    return ::kevent(kq_.get(), &one, 1, nullptr, 0, &kNow) == 0 ? 0 : errno;
  }
  Events fetch(const timespec& timeout = kNow, std::size_t room = 8) {
    Events events(room);
    const int count =
        ::kevent(kq_.get(), nullptr, 0, events.data(), static_cast<int>(room), &timeout);
    EXPECT_GE(count, 0) << "errno " << errno;
    events.resize(static_cast<std::size_t>(std::max(count, 0)));
    return events;
  }
  // Returns the only event; the test fails if there is not exactly one.
  struct kevent fetch_one() {
    const Events events = fetch(kLong);
    EXPECT_EQ(events.size(), 1u);
    struct kevent nothing {};
    return events.empty() ? nothing : events.front();
  }
  static std::uintptr_t udata(const struct kevent& event) {
    return reinterpret_cast<std::uintptr_t>(event.udata);
  }

  FdGuard descriptors_;
  UniqueFd kq_;
};

TEST_F(Kqueue, ReadTellsWhatIsThereUntilItIsRead) {
  const FdPair pipe = make_pipe();
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD, 0x1234567890), 0);
  EXPECT_TRUE(fetch().empty());
  write_text(pipe.far.get(), "abc");
  for (int turn = 0; turn < 2; ++turn) {
    const struct kevent event = fetch_one();
    EXPECT_EQ(event.ident, static_cast<std::uintptr_t>(pipe.near.get()));
    EXPECT_EQ(event.filter, EVFILT_READ);
    EXPECT_EQ(event.flags & (EV_EOF | EV_ERROR), 0);
    EXPECT_EQ(event.data, 3);
    EXPECT_EQ(udata(event), 0x1234567890u);
  }
  EXPECT_EQ(read_text(pipe.near.get()), "abc");
  EXPECT_TRUE(fetch().empty());
}

TEST_F(Kqueue, FiltersOfOneDescriptorAreApart) {
  const FdPair pair = make_socket_pair();
  write_text(pair.far.get(), "x");
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_ADD, 1), 0);
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD, 2), 0);
  std::map<int, std::uintptr_t> seen;
  for (const struct kevent& event : fetch(kLong)) seen[event.filter] = udata(event);
  EXPECT_EQ(seen, (std::map<int, std::uintptr_t>{{EVFILT_READ, 1}, {EVFILT_WRITE, 2}}));
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_DELETE), 0);
  EXPECT_EQ(fetch_one().filter, EVFILT_WRITE);
}

TEST_F(Kqueue, WriteTellsTheRoom) {
  SKIP_ON_LIBKQUEUE("tells the bytes that wait to be sent, not the room");
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD), 0);
  EXPECT_GT(fetch_one().data, 0);
  fill(pair.near.get());
  EXPECT_TRUE(fetch().empty());
}

TEST_F(Kqueue, AddTwiceReplacesSilently) {
  SKIP_ON_LIBKQUEUE("refuses to add a knote that exists");
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD, 1), 0);
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD, 2), 0);
  EXPECT_EQ(udata(fetch_one()), 2u);
}

TEST_F(Kqueue, EnableFindsOrTellsThatThereIsNothing) {
  const FdPair pipe = make_pipe();
  EXPECT_EQ(change(pipe.near, EVFILT_READ, EV_ENABLE), ENOENT);
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD), 0);
  EXPECT_EQ(change(pipe.near, EVFILT_READ, EV_ENABLE), 0);
  EXPECT_EQ(change(pipe.near, EVFILT_WRITE, EV_ENABLE), ENOENT);
}

// The manual page does not say so, but FreeBSD and others store udata with every change.
TEST_F(Kqueue, EnableCanStoreUdataAnew) {
  SKIP_ON_LIBKQUEUE("keeps the old udata");
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD, 1), 0);
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ENABLE, 2), 0);
  EXPECT_EQ(udata(fetch_one()), 2u);
}

TEST_F(Kqueue, DeleteTwiceIsAnError) {
  const FdPair pipe = make_pipe();
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD), 0);
  EXPECT_EQ(change(pipe.near, EVFILT_READ, EV_DELETE), 0);
  EXPECT_EQ(change(pipe.near, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_F(Kqueue, DisabledIsSilentUntilEnabled) {
  SKIP_ON_LIBKQUEUE("EV_ADD with EV_DISABLE does not disable");
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD | EV_DISABLE), 0);
  EXPECT_TRUE(fetch().empty());
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ENABLE), 0);
  EXPECT_EQ(fetch_one().filter, EVFILT_WRITE);
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_DISABLE), 0);
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_DISABLE), 0);
  EXPECT_TRUE(fetch().empty());
  EXPECT_EQ(change(pair.near, EVFILT_WRITE, EV_DELETE), 0);
}

TEST_F(Kqueue, ClearReportsEachWriteOnce) {
  const FdPair pipe = make_pipe();
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  for (int bytes = 1; bytes <= 3; ++bytes) {
    write_text(pipe.far.get(), "x");
    EXPECT_EQ(fetch_one().data, bytes);
    EXPECT_TRUE(fetch().empty());
  }
}

TEST_F(Kqueue, OneshotIsGoneAfterItsEvent) {
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD | EV_ONESHOT), 0);
  fetch_one();
  EXPECT_TRUE(fetch().empty());
  EXPECT_EQ(change(pair.near, EVFILT_WRITE, EV_DELETE), ENOENT);
}

TEST_F(Kqueue, DispatchIsDisabledByItsEvent) {
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD | EV_DISPATCH), 0);
  fetch_one();
  EXPECT_TRUE(fetch().empty());
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ENABLE), 0);
  fetch_one();
  EXPECT_TRUE(fetch().empty());
}

TEST_F(Kqueue, ErrorsAreEntriesWhereThereIsRoom) {
  SKIP_ON_LIBKQUEUE("fills the rest of the list with events");
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  const int fd = pipe.near.get();
  std::array list = {entry(fd, EVFILT_WRITE, EV_DELETE, 1), entry(fd, EVFILT_READ, EV_ADD, 2),
                     entry(9999, EVFILT_READ, EV_ADD, 3), entry(fd, 77, EV_ADD, 4)};
  // One array serves for both lists, as the manual page allows.
  ASSERT_EQ(::kevent(kq_.get(), list.data(), 4, list.data(), 4, &kNow), 3);
  const std::array errors = {ENOENT, EBADF, EINVAL};
  const std::array<std::uintptr_t, 3> udatas = {1, 3, 4};
  for (std::size_t i = 0; i < errors.size(); ++i) {
    EXPECT_NE(list[i].flags & EV_ERROR, 0);
    EXPECT_EQ(list[i].data, errors[i]);
    EXPECT_EQ(udata(list[i]), udatas[i]);
  }
  EXPECT_EQ(udata(fetch_one()), 2u) << "the good one is in force";
}

TEST_F(Kqueue, ErrorEndsTheCallWhereThereIsNoRoom) {
  const FdPair pipe = make_pipe();
  const int fd = pipe.near.get();
  const std::array list = {entry(fd, EVFILT_READ, EV_ADD), entry(fd, EVFILT_WRITE, EV_DELETE)};
  ASSERT_EQ(::kevent(kq_.get(), list.data(), 2, nullptr, 0, &kNow), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(change(pipe.near, EVFILT_READ, EV_ENABLE), 0) << "what came before it is in force";
}

TEST_F(Kqueue, ReceiptsComeInsteadOfEvents) {
  const FdPair pair = make_socket_pair();
  const int fd = pair.near.get();
  std::array list = {entry(fd, EVFILT_WRITE, EV_ADD | EV_RECEIPT, 1),
                     entry(fd, EVFILT_READ, EV_ENABLE | EV_RECEIPT, 2)};
  ASSERT_EQ(::kevent(kq_.get(), list.data(), 2, list.data(), 2, &kNow), 2);
  EXPECT_NE(list[0].flags & EV_ERROR, 0);
  EXPECT_EQ(list[0].data, 0);
  EXPECT_EQ(list[1].data, ENOENT);
}

TEST_F(Kqueue, NoRoomDoesNotWait) {
  const TimePoint before = monotonic_now();
  EXPECT_EQ(::kevent(kq_.get(), nullptr, 0, nullptr, 0, &kLong), 0);
  EXPECT_LT(monotonic_now() - before, std::chrono::seconds(5));
}

TEST_F(Kqueue, TimeoutIsInNanoseconds) {
  const TimePoint before = monotonic_now();
  EXPECT_TRUE(fetch({0, 2'500'000}).empty());
  EXPECT_GE(monotonic_now() - before, Duration(2'500'000));
  if (kOnLibkqueue) return;  // libkqueue does not check the timeout
  struct kevent event {};
  const timespec wrong{0, 1'000'000'000};
  EXPECT_EQ(::kevent(kq_.get(), nullptr, 0, &event, 1, &wrong), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(Kqueue, WhatIsNotAQueueIsABadDescriptor) {
  SKIP_ON_LIBKQUEUE("says ENOENT");
  struct kevent event {};
  const FdPair pipe = make_pipe();
  EXPECT_EQ(::kevent(pipe.near.get(), nullptr, 0, &event, 1, &kNow), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Kqueue, EndOfPipe) {
  FdPair pipe = make_pipe();
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD), 0);
  write_text(pipe.far.get(), "xyz");
  pipe.far.reset();
  const struct kevent with_data = fetch_one();
  EXPECT_NE(with_data.flags & EV_EOF, 0);
  EXPECT_EQ(with_data.data, 3);
  EXPECT_EQ(read_text(pipe.near.get()), "xyz");
  const struct kevent empty = fetch_one();
  EXPECT_NE(empty.flags & EV_EOF, 0);
  EXPECT_EQ(empty.data, 0);
  EXPECT_EQ(empty.fflags, 0u);
}

TEST_F(Kqueue, HalfClosedSocketIsAtItsEnd) {
  const FdPair pair = make_tcp_pair();
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_ADD), 0);
  ASSERT_EQ(::shutdown(pair.far.get(), SHUT_WR), 0);
  const struct kevent event = fetch_one();
  EXPECT_NE(event.flags & EV_EOF, 0);
  EXPECT_EQ(event.fflags, 0u);
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_DELETE), 0);
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD), 0);
  EXPECT_EQ(fetch_one().flags & EV_EOF, 0) << "the other direction lives";
}

TEST_F(Kqueue, ResetTellsAnErrorOnBothFilters) {
  SKIP_ON_LIBKQUEUE("takes SO_ERROR, once for both filters");
  FdPair pair = make_tcp_pair();
  fill(pair.near.get());
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_ADD), 0);
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD), 0);
  reset_on_close(pair.far.get());
  pair.far.reset();
  const Events events = fetch(kLong);
  EXPECT_EQ(events.size(), 2u);
  for (const struct kevent& event : events) {
    EXPECT_NE(event.flags & EV_EOF, 0);
    EXPECT_EQ(event.fflags, static_cast<unsigned>(ECONNRESET));
  }
  std::array<char, 4> bytes;
  EXPECT_EQ(::read(pair.near.get(), bytes.data(), bytes.size()), -1);
  EXPECT_EQ(errno, ECONNRESET) << "telling it does not consume it";
}

TEST_F(Kqueue, PipeThatNobodyReads) {
  SKIP_ON_LIBKQUEUE("has no EPIPE");
  FdPair pipe = make_pipe();
  ASSERT_EQ(change(pipe.far, EVFILT_WRITE, EV_ADD), 0);
  pipe.near.reset();
  EXPECT_NE(fetch_one().flags & EV_EOF, 0);
  ASSERT_EQ(change(pipe.far, EVFILT_WRITE, EV_DELETE), 0);
  EXPECT_EQ(change(pipe.far, EVFILT_WRITE, EV_ADD), EPIPE);
  ASSERT_EQ(change(pipe.far, EVFILT_READ, EV_ADD), 0);
  EXPECT_NE(fetch_one().flags & EV_EOF, 0) << "its reading side is at its end";
}

TEST_F(Kqueue, RegularFileIsTaken) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(change(file, EVFILT_READ, EV_ADD), 0);
  EXPECT_GT(fetch_one().data, 0);
}

TEST_F(Kqueue, CloseDropsItsKnotesWhateverCopiesThereAre) {
  SKIP_ON_LIBKQUEUE("keeps the knotes of a closed number");
  FdPair pipe = make_pipe();
  const UniqueFd copy(::dup(pipe.near.get()));
  const int number = pipe.near.get();
  write_text(pipe.far.get(), "x");
  ASSERT_EQ(change(pipe.near, EVFILT_READ, EV_ADD), 0);
  pipe.near.reset();
  EXPECT_TRUE(fetch().empty());
  EXPECT_EQ(change(entry(number, EVFILT_READ, EV_DELETE)), EBADF);
  const UniqueFd back = move_to(UniqueFd(::dup(copy.get())), number);
  EXPECT_EQ(change(back, EVFILT_READ, EV_ENABLE), ENOENT);
}

TEST_F(Kqueue, Dup2OntoANumberDropsItsKnotes) {
  const FdPair first = make_pipe();
  const FdPair second = make_pipe();
  ASSERT_EQ(change(first.near, EVFILT_READ, EV_ADD), 0);
  write_text(second.far.get(), "x");
  ASSERT_EQ(::dup2(second.near.get(), first.near.get()), first.near.get());
  EXPECT_TRUE(fetch().empty());
  EXPECT_EQ(change(first.near, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_F(Kqueue, QueueIsReadableWhileEventsWait) {
  SKIP_ON_LIBKQUEUE("its queue is the writing end of a pipe");
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_READ, EV_ADD), 0);
  pollfd queue{kq_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&queue, 1, 0), 0);
  write_text(pair.far.get(), "x");
  EXPECT_EQ(::poll(&queue, 1, 10'000), 1);
  const UniqueFd outer(::kqueue());
  const struct kevent nested = entry(kq_.get(), EVFILT_READ, EV_ADD);
  ASSERT_EQ(::kevent(outer.get(), &nested, 1, nullptr, 0, nullptr), 0);
  struct kevent event {};
  EXPECT_EQ(::kevent(outer.get(), nullptr, 0, &event, 1, &kLong), 1);
  EXPECT_EQ(event.ident, static_cast<std::uintptr_t>(kq_.get()));
}

TEST_F(Kqueue, SmallRoomServesAllInTurn) {
  SKIP_ON_LIBKQUEUE("forgets the events of its batch that find no room");
  std::vector<FdPair> pairs;
  for (std::uintptr_t number = 0; number < 20; ++number) {
    pairs.push_back(make_socket_pair());
    write_text(pairs.back().far.get(), "x");
    ASSERT_EQ(change(pairs.back().near, EVFILT_READ, EV_ADD, number), 0);
    ASSERT_EQ(change(pairs.back().near, EVFILT_WRITE, EV_ADD, number), 0);
  }
  std::map<std::pair<int, std::uintptr_t>, int> seen;
  for (int turn = 0; turn < 20; ++turn) {
    for (const struct kevent& event : fetch(kLong, 4)) ++seen[{event.filter, udata(event)}];
  }
  EXPECT_EQ(seen.size(), 40u);
}

TEST_F(Kqueue, ForkDoesNotHandItDown) {
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(change(pair.near, EVFILT_WRITE, EV_ADD), 0);
  EXPECT_EQ(in_child([&] {
              struct kevent event {};
              EXPECT_EQ(::kevent(kq_.get(), nullptr, 0, &event, 1, &kNow), -1);
              EXPECT_EQ(errno, EBADF);
              EXPECT_EQ(::fcntl(kq_.get(), F_GETFD), -1);
              const UniqueFd own(::kqueue());
              EXPECT_TRUE(own);
              const struct kevent one = entry(pair.near.get(), EVFILT_WRITE, EV_ADD);
              EXPECT_EQ(::kevent(own.get(), &one, 1, &event, 1, &kLong), 1);
              static_cast<void>(kq_.release());
            }),
            0);
  EXPECT_EQ(fetch_one().filter, EVFILT_WRITE);
}

TEST_F(Kqueue, ChildExit) {
  const pid_t child = spawn_child([] { return 3; });
  struct kevent one = entry(child, EVFILT_PROC, EV_ADD, 5);
  one.fflags = NOTE_EXIT;
  ASSERT_EQ(change(one), 0);
  const struct kevent event = fetch_one();
  EXPECT_EQ(event.filter, EVFILT_PROC);
  EXPECT_EQ(event.ident, static_cast<std::uintptr_t>(child));
  EXPECT_EQ(event.fflags, NOTE_EXIT);
  EXPECT_NE(event.flags & EV_EOF, 0);
  EXPECT_EQ(WEXITSTATUS(static_cast<int>(event.data)), 3);
  EXPECT_EQ(udata(event), 5u);
  EXPECT_TRUE(fetch().empty());
  EXPECT_EQ(wait_for_child(child), 3);
  EXPECT_EQ(change(one), kOnLibkqueue ? EFAULT : ESRCH);
}

}  // namespace
}  // namespace reactor

#endif
