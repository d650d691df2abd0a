// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/options.h"

namespace reactor::prefork {

// A worker's side of prefork: its loop, its listeners, and what the master wants of it. Made by
// run() in the worker process. Loop thread only; callbacks may call everything but run().
class Worker {
 public:
  // `control`: the pipe to the master; none with workers = 0.
  Worker(Options& options, unsigned index, std::vector<Socket> listeners, UniqueFd control);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() = default;

  // Made after the fork: this process's own.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // 0 .. workers - 1; a successor has its predecessor's.
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  // One listening socket per address, in their order, to be adopted by servers; empty afterwards.
  [[nodiscard]] std::vector<Socket> listeners() noexcept { return std::move(listeners_); }

  // What to do when the worker shall end gracefully: finish. From then on the loop ends as soon as
  // nothing is left to wait for, or when the callback has it stopped; without one, at once. After
  // Options::graceful_timeout it is stopped in any case.
  void on_drain(Callback<void()> callback) { on_drain_ = std::move(callback); }

  // Tells the master that this worker accepts, and runs the loop until it is stopped. The result is
  // meant for the worker function to return: 0, or 1 where the loop failed, which is logged.
  int run();

 private:
  void watch_signals();
  void watch_master();
  void say_ready();
  void drain();
  void end_now(const char* why);

  Options& options_;
  unsigned index_;
  std::vector<Socket> listeners_;
  UniqueFd control_;
  Loop loop_;
  Callback<void()> on_drain_;
  std::vector<SignalWatcher> signals_;
  IoWatcher master_;
  Timer deadline_;
  bool draining_ = false;
};

}  // namespace reactor::prefork
