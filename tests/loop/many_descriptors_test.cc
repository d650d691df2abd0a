// SPDX-License-Identifier: MIT
// Large descriptor numbers, many descriptors, and descriptors that close without notice: mistakes
// that event loops make with select and kqueue. Users must see no difference, so each test runs on
// every backend.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class ManyDescriptors : public LoopTest {};

// Moves `fd` to a number of at least `number`, to get beyond FD_SETSIZE whatever else is open.
UniqueFd at_least(int fd, int number) {
  UniqueFd high(::fcntl(fd, F_DUPFD_CLOEXEC, number));
  EXPECT_GE(high.get(), number) << "the limit of descriptors is too low here";
  return high;
}

TEST_P(ManyDescriptors, NumbersBeyondFdSetsizeWork) {
  Loop loop(options());
  for (const int number : {1023, 1024, 1025, 1100, 2047, 2048, 4000, 9000}) {
    FdPair pair = make_socket_pair();
    const UniqueFd high = at_least(pair.near.get(), number);
    int reads = 0, writes = 0;
    IoWatcher watcher = get(loop.watch(high.get(), Interest::read_write, [&](Ready ready) {
      if (ready.readable()) ++reads;
      if (ready.writable()) ++writes;
    }));
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(reads, 0) << number;
    EXPECT_EQ(writes, 1) << number;
    write_text(pair.far.get(), "!");
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(reads, 1) << number;
    EXPECT_TRUE(watcher.set(Interest::read));
    EXPECT_EQ(read_text(high.get()), "!");
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(reads, 1) << number;
  }
}

// Low and high numbers are in one set, and the set shrinks again.
TEST_P(ManyDescriptors, FiveThousandDescriptorsWork) {
  Loop loop(options());
  constexpr std::size_t kCount = 5000;
  std::vector<FdPair> pairs(kCount);
  std::vector<IoWatcher> watchers(kCount);
  std::vector<std::string> got(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    pairs[i] = make_socket_pair();
    ASSERT_TRUE(pairs[i].near && pairs[i].far) << "the limit of descriptors is too low here";
    watchers[i] = get(loop.watch(pairs[i].near.get(), Interest::read,
                                 [&, i](Ready) { got[i] += read_text(pairs[i].near.get(), 16); }));
  }
  EXPECT_TRUE(loop.poll());
  for (const std::size_t i : {std::size_t{0}, kCount / 2, kCount - 1}) {
    write_text(pairs[i].far.get(), "one");
    EXPECT_TRUE(run_bounded(loop, [&] { return got[i] == "one"; })) << i;
  }
  for (std::size_t i = 0; i < kCount; ++i) write_text(pairs[i].far.get(), "all");
  std::size_t complete = 0;
  EXPECT_TRUE(run_bounded(loop, [&] {
    while (complete < kCount && got[complete].ends_with("all")) ++complete;
    return complete == kCount;
  }));
  for (std::size_t i = kCount; i-- > 1;) watchers[i] = IoWatcher();
  write_text(pairs[0].far.get(), "last");
  EXPECT_TRUE(run_bounded(loop, [&] { return got[0] == "onealllast"; }));
  EXPECT_LE(run_for(loop, milliseconds(10)), 3);
}

TEST_P(ManyDescriptors, OneClosedDescriptorDoesNotBlindTheOthers) {
  Loop loop(options());
  std::array<FdPair, 5> pipes = {make_pipe(), make_pipe(), make_pipe(), make_pipe(), make_pipe()};
  std::vector<IoWatcher> watchers;
  int calls = 0;
  for (FdPair& pipe : pipes) {
    watchers.push_back(
        get(loop.watch(pipe.near.get(), Interest::read, [&, fd = pipe.near.get()](Ready) {
          ++calls;
          static_cast<void>(read_text(fd));
        })));
  }
  EXPECT_TRUE(loop.poll());
  const int closed = pipes[2].near.get();
  pipes[2].near.reset();  // the loop does not know
  EXPECT_LE(run_for(loop, milliseconds(30)), 4) << "no busy loop of EBADF";
  write_text(pipes[4].far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(watchers[2].set(Interest::read_write)) << "its owner learns of it";
  FdPair fresh = make_pipe();
  ASSERT_EQ(fresh.near.get(), closed);
  int fresh_calls = 0;
  IoWatcher watcher = get(loop.watch(closed, Interest::read, [&](Ready) { ++fresh_calls; }));
  write_text(fresh.far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return fresh_calls > 0; }));
}

TEST_P(ManyDescriptors, AllClosedDescriptorsLeaveAnIdleLoop) {
  Loop loop(options());
  std::vector<IoWatcher> watchers;
  {
    std::array<FdPair, 10> pairs;
    for (FdPair& pair : pairs) {
      pair = make_socket_pair();
      watchers.push_back(
          get(loop.watch(pair.near.get(), Interest::read, [](Ready) { FAIL() << "closed"; })));
    }
  }
  EXPECT_LE(run_for(loop, milliseconds(30)), 4);
  int posted = 0;
  loop.post([&] { ++posted; });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(posted, 1);
}

// A backend with two filters may return two events for one descriptor. The first callback ends the
// watcher.
TEST_P(ManyDescriptors, TheSecondEventOfADescriptorThatIsGoneIsIgnored) {
  for (int how = 0; how < 4; ++how) {
    Loop loop(options());
    FdPair pair = make_socket_pair();
    write_text(pair.far.get(), "!");
    int calls = 0;
    IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read_write, [&](Ready) {
      ++calls;
      if (how == 0) watcher = IoWatcher();
      if (how == 1) watcher.stop();
      if (how == 2) static_cast<void>(watcher.set(Interest::none));
      if (how == 3) {
        watcher.stop();
        pair.near.reset();
      }
    }));
    for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
    EXPECT_EQ(calls, 1) << how;
  }
}

TEST_P(ManyDescriptors, InterestCanBeChangedInAnyOrder) {
  Loop loop(options());
  FdPair pair = make_socket_pair();
  write_text(pair.far.get(), "!");
  constexpr std::array kAll = {Interest::none, Interest::read, Interest::write,
                               Interest::read_write};
  for (const Interest first : kAll) {
    Interest seen = Interest::none;
    IoWatcher watcher =
        get(loop.watch(pair.near.get(), first, [&](Ready ready) { seen = seen | ready.bits(); }));
    for (const Interest second : kAll) {
      for (const Interest third : kAll) {
        EXPECT_TRUE(watcher.set(second));
        EXPECT_TRUE(watcher.set(third));
        EXPECT_EQ(watcher.interest(), third);
        seen = Interest::none;
        EXPECT_TRUE(loop.poll());
        EXPECT_EQ(seen, third);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ManyDescriptors, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
