// SPDX-License-Identifier: MIT
// Allocation scenarios of the loop.
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <cstdlib>
#include <vector>

#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"
#include "tests/support/pipes.h"

namespace reactor::allocations {

using std::chrono::milliseconds;

void loop_made(Scene& scene) {
  Loop loop({.backend = scene.loop.backend()});
  bool ran = false;
  loop.post([&] { ran = true; });
  scene.get(loop.poll());
  scene.check(ran, "a posted call ran");
}

void loop_timers(Scene& scene) {
  int once = 0, often = 0;
  std::vector<Timer> timers;
  for (int delay = 0; delay < 3; ++delay) {
    timers.push_back(scene.loop.after(milliseconds(delay), [&] { ++once; }));
  }
  Timer every = scene.loop.every(milliseconds(1), [&] { ++often; });
  scene.until([&] { return once == 3 && often >= 2; });
}

// Makes so many watchers that the tables of the loop grow while some are registered.
void loop_watchers(Scene& scene) {
  std::array<FdPair, 40> pipes;
  for (FdPair& pipe : pipes) pipe = make_pipe();
  int ready = 0;
  std::vector<IoWatcher> watchers;
  for (FdPair& pipe : pipes) {
    const int fd = pipe.near.get();
    watchers.push_back(scene.get(scene.loop.watch(fd, Interest::none, [&ready, fd](Ready) {
      ++ready;
      static_cast<void>(read_text(fd));
    })));
    write_text(pipe.far.get(), "x");
  }
  for (IoWatcher& watcher : watchers) scene.get(watcher.set(Interest::read));
  scene.until([&] { return ready == static_cast<int>(pipes.size()); });
  watchers.front().stop();
  scene.get(watchers.back().set(Interest::none));
}

void loop_posts(Scene& scene) {
  int ran = 0;
  scene.loop.post([&] {
    ++ran;
    scene.loop.post([&] { ++ran; });
  });
  const std::array<char, 64> large{};  // too large for the callback, so it allocates
  scene.loop.post([&ran, large] { ran += 1 + large[0]; });
  scene.until([&] { return ran == 3; });
}

void loop_deferred(Scene& scene) {
  int ran = 0;
  Deferred second = scene.loop.deferred([&] { ++ran; });
  Deferred first = scene.loop.deferred([&] {
    ++ran;
    second.schedule();
  });
  first.schedule();
  scene.until([&] { return ran == 2; });
}

void loop_signals(Scene& scene) {
  int came = 0;
  std::vector<SignalWatcher> watchers;
  for (const int number : {SIGUSR1, SIGUSR1, SIGUSR2}) {
    watchers.push_back(scene.get(scene.loop.on_signal(number, [&] { ++came; })));
  }
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  scene.until([&] { return came == 3; });
}

namespace {

// A child process that the destructor always waits for.
struct Child {
  Child() : pid(::fork()) {
    if (pid == 0) ::_exit(3);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { ::waitpid(pid, nullptr, 0); }
  const pid_t pid;
};

}  // namespace

void loop_children(Scene& scene) {
  const std::array<Child, 2> children;
  int ended = 0;
  std::vector<ChildWatcher> watchers;
  for (const Child& child : children) {
    watchers.push_back(scene.get(scene.loop.on_exit(child.pid, [&](ExitStatus status) {
      if (status.code() == 3) ++ended;
    })));
  }
  scene.until([&] { return ended == 2; });
}

// Runs one loop inside another, by its descriptor.
void loop_nested(Scene& scene) {
  Loop inner({.backend = scene.loop.backend()});
  const Result<int> fd = inner.backend_fd();
  if (!fd) return;
  bool ran = false;
  const FdPair pipe = make_pipe();
  const IoWatcher watcher = scene.get(inner.watch(pipe.near.get(), Interest::read, [&](Ready) {
    ran = true;
    static_cast<void>(read_text(pipe.near.get()));
  }));
  const IoWatcher outer =
      scene.get(scene.loop.watch(*fd, Interest::read, [&](Ready) { scene.get(inner.poll()); }));
  write_text(pipe.far.get(), "x");
  scene.until([&] { return ran; });
}

}  // namespace reactor::allocations
