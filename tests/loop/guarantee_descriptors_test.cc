// SPDX-License-Identifier: MIT
// G8: one watcher per descriptor; regular files give a clear error. A watcher is to be stopped
// before its descriptor is closed. The loop survives the opposite order: the old watcher goes dead,
// a new one on the recycled number works, and a registration that the kernel can't be told to
// forget is got rid of without spinning.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/rebuild.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class GuaranteesDescriptors : public LoopTest {};
class GuaranteesDescriptorsFork : public LoopTest {};

TEST_P(GuaranteesDescriptors, G8_OneWatcherPerDescriptor) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  for (const Interest interest : {Interest::read, Interest::none}) {
    IoWatcher first = get(loop.watch(pipe.near.get(), interest, [](Ready) {}));
    const auto second = loop.watch(pipe.near.get(), Interest::read, [](Ready) {});
    EXPECT_EQ(second.error(), std::errc::file_exists);
    EXPECT_TRUE(first.active()) << "the one that is there is not harmed";
    EXPECT_EQ(first.fd(), pipe.near.get());
    first.stop();
    EXPECT_TRUE(loop.watch(pipe.near.get(), Interest::read, [](Ready) {}));
  }
}

TEST_P(GuaranteesDescriptors, G8_ADupIsAnotherDescriptor) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  const UniqueFd twin(::fcntl(pipe.near.get(), F_DUPFD_CLOEXEC, 0));
  write_text(pipe.far.get(), "!");
  int calls = 0;
  IoWatcher first = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  IoWatcher second = get(loop.watch(twin.get(), Interest::read, [&](Ready) { ++calls; }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 2);
}

TEST_P(GuaranteesDescriptors, G8_RegularFilesAndDirectoriesGiveAClearError) {
  Loop loop(options());
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(loop.watch(::fileno(file), Interest::read, [](Ready) {}).error(), Errc::not_pollable);
  std::fclose(file);
  const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(loop.watch(folder.get(), Interest::read, [](Ready) {}).error(), Errc::not_pollable);
  EXPECT_EQ(loop.counts().io, 0U);
  EXPECT_TRUE(loop.run()) << "nothing was registered";
}

TEST_P(GuaranteesDescriptors, G8_BadDescriptorsGiveAnError) {
  Loop loop(options());
  EXPECT_EQ(loop.watch(-1, Interest::read, [](Ready) {}).error(), std::errc::bad_file_descriptor);
  FdPair pipe = make_pipe();
  const int closed = pipe.near.get();
  pipe.near.reset();
  EXPECT_EQ(loop.watch(closed, Interest::read, [](Ready) {}).error(),
            std::errc::bad_file_descriptor);
  EXPECT_TRUE(loop.poll());
}

TEST_P(GuaranteesDescriptors, G8_ARecycledNumberCanBeWatchedAnew) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  int old_calls = 0, new_calls = 0;
  IoWatcher old_watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++old_calls; }));
  old_pipe.near.reset();  // closed before its watcher is destroyed
  FdPair pipe = pipe_at(number);
  IoWatcher watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++new_calls; }));
  EXPECT_FALSE(old_watcher.active());
  EXPECT_EQ(old_watcher.set(Interest::read_write).error(), Errc::handle_dead);
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(old_calls, 0);
  EXPECT_EQ(new_calls, 1);
  old_watcher = IoWatcher();  // leaves the new watcher alone
  EXPECT_TRUE(watcher.active());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(new_calls, 2);
}

TEST_P(GuaranteesDescriptors, G8_StoppingADeadWatcherDoesNotHarmTheNewOne) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  int new_calls = 0;
  auto old_watcher = std::make_unique<IoWatcher>(
      get(loop.watch(number, Interest::read, [](Ready) { FAIL() << "dead"; })));
  old_pipe.near.reset();
  FdPair pipe = pipe_at(number);
  IoWatcher watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++new_calls; }));
  old_watcher->stop();
  old_watcher.reset();
  EXPECT_EQ(loop.watch(number, Interest::read, [](Ready) {}).error(), std::errc::file_exists);
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return new_calls > 0; }));
}

// The watcher is destroyed after its descriptor was closed and before the number is used again.
TEST_P(GuaranteesDescriptors, G8_ClosingFirstThenDroppingLeavesNothingBehind) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  IoWatcher watcher = get(loop.watch(number, Interest::read, [](Ready) { FAIL() << "dead"; }));
  old_pipe.near.reset();
  watcher = IoWatcher();
  EXPECT_LE(run_for(loop, milliseconds(20)), 4);
  SKIP_BACKEND_ON_LIBKQUEUE("was given a new queue, at this number");
  FdPair pipe = pipe_at(number);
  int calls = 0;
  watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++calls; }));
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
}

// A paused watcher has no registration in the kernel that could report the close. It recognises its
// own file instead.
TEST_P(GuaranteesDescriptors, G8_APausedWatcherWhoseDescriptorWasClosedIsDead) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  IoWatcher paused = get(loop.watch(number, Interest::none, [](Ready) { FAIL() << "dead"; }));
  old_pipe.near.reset();
  FdPair pipe = pipe_at(number);
  int calls = 0;
  IoWatcher watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++calls; }));
  EXPECT_FALSE(paused.active());
  EXPECT_EQ(paused.set(Interest::read).error(), Errc::handle_dead);
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesDescriptors, G8_APausedWatcherDoesNotResumeOnAStrangersDescriptor) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  IoWatcher paused = get(loop.watch(number, Interest::none, [](Ready) { FAIL() << "dead"; }));
  old_pipe.near.reset();
  FdPair stranger = pipe_at(number);
  write_text(stranger.far.get(), "!");
  EXPECT_EQ(paused.set(Interest::read).error(), Errc::handle_dead);
  EXPECT_TRUE(loop.poll());
  EXPECT_FALSE(paused.active());
}

// A part of the program that the loop does not know reuses the number.
TEST_P(GuaranteesDescriptors, G8_ADeadWatcherNeverSeesAStranger) {
  SKIP_BACKEND_ON_LIBKQUEUE("has no set that is rebuilt");
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  IoWatcher dead = get(loop.watch(number, Interest::read, [](Ready) { FAIL() << "dead"; }));
  old_pipe.near.reset();
  FdPair stranger = pipe_at(number);
  write_text(stranger.far.get(), "!");
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  provoke_rebuild(loop);
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_FALSE(dead.active());
  EXPECT_EQ(loop.keeping(), 0U);
  int calls = 0;
  IoWatcher fresh = get(loop.watch(number, Interest::read, [&](Ready) { ++calls; }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

// A rebuilt kernel set has a descriptor, too, which may get the number of a closed one.
TEST_P(GuaranteesDescriptors, G8_ARebuiltSetForgetsWatchersOfClosedDescriptors) {
  SKIP_BACKEND_ON_LIBKQUEUE("has no set that is rebuilt");
  Loop loop(options());
  FdPair first = make_pipe(), second = make_pipe();
  const auto never = [](Ready) { FAIL() << "dead"; };
  IoWatcher watcher = get(loop.watch(first.near.get(), Interest::read, never));
  IoWatcher other = get(loop.watch(second.near.get(), Interest::read, never));
  first.near.reset();
  second.near.reset();
  provoke_rebuild(loop);
  if (loop.backend() == Backend::select) {  // select finds closed descriptors when it waits
    EXPECT_TRUE(loop.poll());
  } else {
    EXPECT_FALSE(watcher.active());
    EXPECT_FALSE(other.active());
    EXPECT_TRUE(run_to_end(loop)) << "nothing is left to wait for";
  }
}

// The kernel still holds the registration of this very file under this very number.
TEST_P(GuaranteesDescriptors, G8_AFileThatComesBackUnderItsNumberCanBeWatched) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  const int number = pipe.near.get();
  UniqueFd twin(::fcntl(number, F_DUPFD_CLOEXEC, 0));
  IoWatcher watcher = get(loop.watch(number, Interest::read, [](Ready) { FAIL() << "dropped"; }));
  pipe.near.reset();
  watcher = IoWatcher();
  pipe.near = move_to(std::move(twin), number);
  int calls = 0;
  watcher = get(loop.watch(number, Interest::read, [&](Ready) { ++calls; }));
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesDescriptors, G8_AClosedDescriptorWakesNobody) {
  Loop loop(options());
  FdPair pipe = make_pipe(), other = make_pipe();
  int calls = 0, other_calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  IoWatcher live = get(loop.watch(other.near.get(), Interest::read, [&](Ready) { ++other_calls; }));
  pipe.near.reset();
  pipe.far.reset();
  EXPECT_LE(run_for(loop, milliseconds(30)), 6);
  EXPECT_EQ(calls, 0);
  write_text(other.far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return other_calls > 0; })) << "the others go on";
}

// A dup keeps the open file alive, and with it the kernel's registration, which no call can name
// any more.
TEST_P(GuaranteesDescriptors, G8_AStaleTokenThatCanNotBeDeletedDoesNotSpin) {
  Loop loop(options());
  FdPair pipe = make_pipe(), other = make_pipe();
  const UniqueFd twin(::fcntl(pipe.near.get(), F_DUPFD_CLOEXEC, 0));
  int other_calls = 0;
  IoWatcher watcher =
      get(loop.watch(pipe.near.get(), Interest::read, [](Ready) { FAIL() << "dropped"; }));
  IoWatcher live = get(loop.watch(other.near.get(), Interest::read, [&](Ready) {
    ++other_calls;
    EXPECT_EQ(read_text(other.near.get()), "?");
  }));
  pipe.near.reset();      // closed before its watcher is destroyed
  watcher = IoWatcher();  // can't reach the kernel's registration any more
  write_text(pipe.far.get(), "!");
  EXPECT_LE(run_for(loop, milliseconds(50)), 8);
  write_text(other.far.get(), "?");
  EXPECT_TRUE(run_bounded(loop, [&] { return other_calls > 0; })) << "the others go on";
  EXPECT_EQ(other_calls, 1);
}

// The events of the dup carry the token of the old watcher, which still exists.
TEST_P(GuaranteesDescriptors, G8_ADeadWatcherHearsNothingOfADup) {
  Loop loop(options());
  FdPair old_pipe = make_pipe();
  const int number = old_pipe.near.get();
  const UniqueFd twin(::fcntl(number, F_DUPFD_CLOEXEC, 0));
  IoWatcher dead =
      get(loop.watch(number, Interest::read, [](Ready) { FAIL() << "its file was closed"; }));
  write_text(old_pipe.far.get(), "!");
  old_pipe.near.reset();  // closed before its watcher is destroyed
  FdPair fresh = pipe_at(number);
  int calls = 0;
  IoWatcher watcher = get(loop.watch(number, Interest::read, [&](Ready) {
    ++calls;
    EXPECT_EQ(read_text(number), "?");
  }));
  EXPECT_FALSE(dead.active());
  EXPECT_LE(run_for(loop, milliseconds(50)), 8);
  write_text(fresh.far.get(), "?");
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; })) << "the others go on";
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesDescriptors, G8_ARebuiltSetKeepsEveryWatcher) {
  Loop loop(options());
  if (loop.backend() == Backend::select) GTEST_SKIP() << "select has no set in the kernel";
  FdPair stale = make_pipe();
  const UniqueFd twin(::fcntl(stale.near.get(), F_DUPFD_CLOEXEC, 0));
  std::vector<FdPair> pipes(50);
  std::vector<IoWatcher> watchers(50);
  std::vector<int> calls(50, 0);
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    pipes[i] = make_pipe();
    watchers[i] = get(loop.watch(pipes[i].near.get(), i % 5 == 0 ? Interest::none : Interest::read,
                                 [&, i](Ready) { ++calls[i]; }));
  }
  IoWatcher watcher = get(loop.watch(stale.near.get(), Interest::read, [](Ready) {}));
  stale.near.reset();
  watcher = IoWatcher();
  write_text(stale.far.get(), "!");
  run_for(loop, milliseconds(20));
  for (FdPair& pipe : pipes) write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  for (std::size_t i = 0; i < pipes.size(); ++i) EXPECT_EQ(calls[i], i % 5 == 0 ? 0 : 1) << i;
  for (std::size_t i = 0; i < pipes.size(); i += 5) EXPECT_TRUE(watchers[i].set(Interest::read));
  EXPECT_TRUE(loop.poll());
  for (std::size_t i = 0; i < pipes.size(); i += 5) EXPECT_EQ(calls[i], 1) << i;
  int posted = 0;
  loop.post([&] { ++posted; });
  EXPECT_TRUE(loop.run_once(kLimit)) << "the wake-up is in the new set too";
  EXPECT_EQ(posted, 1);
}

TEST_P(GuaranteesDescriptors, G8_AReplacedDescriptorUnderALiveWatcherIsNotMistaken) {
  Loop loop(options());
  FdPair old_pipe = make_pipe(), fresh = make_pipe();
  const int number = old_pipe.near.get();
  IoWatcher watcher = get(loop.watch(number, Interest::read, [](Ready) { FAIL(); }));
  ASSERT_EQ(::dup2(fresh.near.get(), number), number);  // also closes the old file of `number`
  IoWatcher again = get(loop.watch(number, Interest::read, [](Ready) {}));
  EXPECT_FALSE(watcher.active());
  EXPECT_TRUE(again.active());
}

TEST_P(GuaranteesDescriptors, G8_DescriptorsOfAnyNumber) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  const UniqueFd high(::fcntl(pipe.near.get(), F_DUPFD_CLOEXEC, 3000));
  ASSERT_GE(high.get(), 3000) << "the limit of descriptors is too low here";
  int calls = 0;
  IoWatcher watcher = get(loop.watch(high.get(), Interest::read, [&](Ready) { ++calls; }));
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

// The child's copy of the descriptor keeps the registration alive after this process has closed its
// own.
TEST_P(GuaranteesDescriptorsFork, G8_AForkedCopyDoesNotMakeTheLoopSpin) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  IoWatcher watcher =
      get(loop.watch(pipe.near.get(), Interest::read, [](Ready) { FAIL() << "dropped"; }));
  const pid_t child = spawn_sleeper();
  pipe.near.reset();
  watcher = IoWatcher();
  write_text(pipe.far.get(), "!");
  EXPECT_LE(run_for(loop, milliseconds(50)), 8);
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait_for_child(child), 128 + SIGKILL);
}

TEST_P(GuaranteesDescriptorsFork, G8_DroppedBeforeClosingNothingIsLeftBehindInAForkedCopy) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  IoWatcher watcher =
      get(loop.watch(pipe.near.get(), Interest::read, [](Ready) { FAIL() << "dropped"; }));
  const pid_t child = spawn_sleeper();
  watcher = IoWatcher();
  pipe.near.reset();
  write_text(pipe.far.get(), "!");
  EXPECT_LE(run_for(loop, milliseconds(30)), 4);
  EXPECT_EQ(loop.stats().stale.get(), 0U);
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait_for_child(child), 128 + SIGKILL);
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesDescriptors, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesDescriptorsFork, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
