// SPDX-License-Identifier: MIT
// Readiness, registrations and lifetime: mistakes that event loops are known for.
// hostile_peers_test.cc in tests/net covers those that concern connections.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/due_handle.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class ReadinessPitfalls : public LoopTest {};

// Two watchers are ready. The one that is called first ends the other and opens a new pipe on its
// number.
struct Recycling {
  explicit Recycling(Loop& owner) : loop(owner) {
    for (std::size_t i = 0; i < 2; ++i) {
      write_text(pipes[i].far.get(), "!");
      watchers[i] = get(loop.watch(pipes[i].near.get(), Interest::read, [this, i](Ready) {
        if (++old_calls == 1) recycle(1 - i);
        watchers[i].stop();
      }));
    }
  }
  void recycle(std::size_t other) {
    const int number = pipes[other].near.get();
    watchers[other] = IoWatcher();
    pipes[other].near.reset();
    fresh = make_pipe();
    EXPECT_EQ(fresh.near.get(), number);
    watcher = get(loop.watch(number, Interest::read, [this](Ready) { ++new_calls; }));
  }
  Loop& loop;
  std::array<FdPair, 2> pipes = {make_pipe(), make_pipe()};
  FdPair fresh;
  std::array<IoWatcher, 2> watchers;
  IoWatcher watcher;
  int old_calls = 0, new_calls = 0;
};

TEST_P(ReadinessPitfalls, AStaleEventDoesNotReachTheNewOwnerOfTheNumber) {
  Loop loop(options());
  Recycling scene(loop);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(scene.old_calls, 1);
  EXPECT_EQ(scene.new_calls, 0);
  write_text(scene.fresh.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(scene.new_calls, 1);
}

TEST_P(ReadinessPitfalls, StaleRegistrationDoesNotSpin) {
  Loop loop(options());
  Recycling scene(loop);
  EXPECT_TRUE(loop.poll());
  EXPECT_LT(run_for(loop, milliseconds(100)), 10);
}

TEST_P(ReadinessPitfalls, AClosedDescriptorWithALiveDupWakesNobody) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  const UniqueFd twin(::fcntl(pipe.near.get(), F_DUPFD_CLOEXEC, 0));
  IoWatcher watcher =
      get(loop.watch(pipe.near.get(), Interest::read, [](Ready) { FAIL() << "dropped"; }));
  watcher = IoWatcher();
  pipe.near.reset();
  write_text(pipe.far.get(), "!");
  EXPECT_LE(run_for(loop, milliseconds(30)), 2);
  EXPECT_EQ(loop.stats().stale.get(), 0U);
  EXPECT_EQ(loop.stats().rebuilds.get(), 0U);
}

TEST_P(ReadinessPitfalls, APausedWatcherWhosePeerResetsCostsNothing) {
  Loop loop(options());
  FdPair pair = make_tcp_pair();
  int error = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read, [&](Ready) {
    char byte = 0;
    if (::recv(pair.near.get(), &byte, 1, 0) < 0) error = errno;
    watcher.stop();
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(watcher.set(Interest::none));
  reset_on_close(pair.far.get());
  pair.far.reset();
  const Duration before = cpu_time();
  EXPECT_LE(run_for(loop, milliseconds(200)), 6);
  EXPECT_LT(cpu_time() - before, milliseconds(50));
  EXPECT_EQ(error, 0);
  EXPECT_TRUE(watcher.set(Interest::read));
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  EXPECT_TRUE(run_bounded(loop, [&] { return error != 0; }));
  EXPECT_EQ(error, ECONNRESET);
}

TEST_P(ReadinessPitfalls, DataAndEndInOneEventLoseNothing) {
  Loop loop(options());
  FdPair pair = make_tcp_pair();
  const std::string sent(100000, 'x');
  write_text(pair.far.get(), sent);
  ::shutdown(pair.far.get(), SHUT_WR);
  std::size_t got = 0;
  int ends = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read, [&](Ready) {
    std::array<char, 1000> buffer;
    const ssize_t count = ::recv(pair.near.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) got += static_cast<std::size_t>(count);
    if (count == 0) {
      ++ends;
      watcher.stop();
    }
  }));
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(got, sent.size());
  EXPECT_EQ(ends, 1);
}

TEST_P(ReadinessPitfalls, DataBeforeAResetIsHandedOut) {
  Loop loop(options());
  FdPair pair = make_tcp_pair();
  write_text(pair.far.get(), std::string(100, 'x'));
  reset_on_close(pair.far.get());
  pair.far.reset();
  std::size_t got = 0;
  int error = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read, [&](Ready) {
    std::array<char, 30> buffer;
    const ssize_t count = ::recv(pair.near.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      got += static_cast<std::size_t>(count);
      return;
    }
    error = count == 0 ? -1 : errno;
    watcher.stop();
  }));
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(got, 100U);
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  EXPECT_EQ(error, ECONNRESET);
}

TEST_P(ReadinessPitfalls, WriteInterestThatIsDroppedStopsTheEvents) {
  Loop loop(options());
  FdPair pair = make_socket_pair();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read_write, [&](Ready) {
    if (++calls < 5) return;
    EXPECT_TRUE(watcher.set(Interest::read));
  }));
  EXPECT_TRUE(run_bounded(loop, [&] { return calls >= 5; }));
  EXPECT_LE(run_for(loop, milliseconds(50)), 5);
  EXPECT_EQ(calls, 5);
}

TEST_P(ReadinessPitfalls, UnreadDataIsAnnouncedAgain) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "ab");
  pipe.far.reset();
  std::string got;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) {
    got += read_text(pipe.near.get(), 1);
    EXPECT_TRUE(watcher.set(Interest::none));
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(got, "a");
  EXPECT_TRUE(watcher.set(Interest::read));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(got, "ab");
}

TEST_P(ReadinessPitfalls, AFloodedDescriptorDoesNotStarveOthers) {
  Loop loop(options());
  FdPair flood = make_socket_pair(), quiet = make_socket_pair();
  int floods = 0, answers = 0;
  IoWatcher flooded = get(loop.watch(flood.near.get(), Interest::read, [&](Ready) {
    ++floods;
    static_cast<void>(read_text(flood.near.get(), 100));
    write_text(flood.far.get(), std::string(100, 'f'));
  }));
  IoWatcher other = get(loop.watch(quiet.near.get(), Interest::read, [&](Ready) {
    ++answers;
    EXPECT_EQ(read_text(quiet.near.get()), "?");
  }));
  write_text(flood.far.get(), std::string(1000, 'f'));
  for (int i = 1; i <= 30; ++i) {
    write_text(quiet.far.get(), "?");
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_EQ(answers, i) << "in the very next batch";
  }
  EXPECT_EQ(floods, 30);
}

// G1 and G2 test A11 for each kind; this test mixes the kinds.
TEST_P(ReadinessPitfalls, EachHandleDeletesItselfAndItsNeighbour) {
  Loop loop(options());
  constexpr std::size_t kCount = 40;
  std::vector<std::unique_ptr<DueHandle>> handles(kCount);
  std::size_t calls = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    handles[i] = make_due(loop, kKindsWithoutChild[i % kKindsWithoutChild.size()], [&, i] {
      ++calls;
      handles[i].reset();
      handles[(i + 1) % kCount].reset();
    });
  }
  for (int turn = 0; turn < 5; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_GE(calls, kCount / 2);
  for (const auto& handle : handles) EXPECT_EQ(handle, nullptr);
}

TEST_P(ReadinessPitfalls, ANestedRunIsRefused) {
  Loop loop(options());
  int later = 0;
  std::error_code refused;
  Timer first = loop.after(Duration::zero(), [&] { refused = loop.run().error(); });
  Timer second = loop.after(milliseconds(2), [&] { ++later; });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(refused, Errc::nested_run);
  EXPECT_EQ(later, 1);
}

TEST_P(ReadinessPitfalls, AFileThatCanNotBePolledIsAnErrorValue) {
  Loop loop(options());
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  for (const Interest interest : {Interest::read, Interest::write, Interest::read_write}) {
    EXPECT_EQ(loop.watch(file.get(), interest, [](Ready) {}).error(), Errc::not_pollable);
  }
  EXPECT_TRUE(loop.poll());
}

TEST_P(ReadinessPitfalls, APausedFileIsRefusedTooOrWhenItIsResumed) {
  Loop loop(options());
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  auto watcher = loop.watch(file.get(), Interest::none, [](Ready) { FAIL(); });
  const std::error_code error = watcher ? watcher->set(Interest::read).error() : watcher.error();
  EXPECT_EQ(error, Errc::not_pollable);
  EXPECT_TRUE(loop.poll());
}

TEST_P(ReadinessPitfalls, ANumberReopenedBehindTheLoopsBackWorks) {
  Loop loop(options());
  for (int round = 0; round < 50; ++round) {
    FdPair first = make_pipe();
    const int number = first.near.get();
    IoWatcher old_watcher = get(loop.watch(number, Interest::read, [](Ready) { FAIL(); }));
    first = FdPair();
    FdPair second = make_pipe();
    // With libkqueue, helper descriptors are closed late, so the number may differ. The descriptor
    // is new all the same.
    ASSERT_TRUE(second.near.get() == number || on_libkqueue(GetParam()));
    int calls = 0;
    IoWatcher watcher = get(loop.watch(second.near.get(), Interest::read, [&](Ready) { ++calls; }));
    write_text(second.far.get(), "!");
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(calls, 1);
  }
}

extern "C" void count_nothing(int) {}

TEST_P(ReadinessPitfalls, InterruptedWaitsNeitherEndTheLoopNorChangeTheTime) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = &count_nothing;
  ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
  const itimerval each{{0, 1000}, {0, 1000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &each, nullptr), 0);
  {
    Loop loop(options());
    const TimePoint start = monotonic_now();
    TimePoint fired_at{};
    int fired = 0;
    Timer timer = loop.after(milliseconds(100), [&] {
      ++fired;
      fired_at = monotonic_now();
    });
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(fired, 1);
    EXPECT_GE(fired_at - start, milliseconds(100));
    EXPECT_LT(fired_at - start, kLimit / 2) << "the alarms never end: begun anew, nor would it";
  }
  const itimerval off{};
  ::setitimer(ITIMER_REAL, &off, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_P(ReadinessPitfalls, FiveThousandReadyDescriptorsAreServedInTwoRounds) {
  Loop loop(options());
  constexpr std::size_t kCount = 5000;
  std::vector<FdPair> pipes(kCount);
  std::vector<IoWatcher> watchers(kCount);
  std::vector<int> calls(kCount, 0);
  for (std::size_t i = 0; i < kCount; ++i) {
    pipes[i] = make_pipe();
    ASSERT_TRUE(pipes[i].near && pipes[i].far) << "the limit of descriptors is too low here";
    write_text(pipes[i].far.get(), "!");
    watchers[i] =
        get(loop.watch(pipes[i].near.get(), Interest::read, [&, i](Ready) { ++calls[i]; }));
  }
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(loop.poll());
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_GE(calls[i], 1) << i;
}

INSTANTIATE_TEST_SUITE_P(Backends, ReadinessPitfalls, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
