// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/net/socket.h"

namespace reactor::prefork {

class SignalBlock;  // internal

// Child is a process that was forked for one connection. It has that connection and a loop.
// ForkServer makes this object in the child. Thread: the only one of the process. Callbacks may
// call loop().
//
// The process ends when its parent does. TERM asks it to finish, and QUIT ends it at once. All
// other signals that the parent's loop watched are ignored here, for example INT, which a terminal
// sends to parent and child.
class Child {
 public:
  // `state`: the message of a hand-over, see Service::adopt_connection(). `lifeline`: the read end
  // of a pipe that reports end of file as soon as the parent is gone. `blocked`: the signals that
  // were blocked around the fork; serve() unblocks them. Throws std::system_error if the loop can't
  // be made or can't watch the signals and the lifeline.
  Child(Socket connection, std::span<const std::byte> state, UniqueFd lifeline, Backend backend,
        SignalBlock& blocked);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The loop of this process. Callbacks may take as long as they like: none is reported as slow.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  // Gives the connection to `service`, which has no listeners. Runs the loop until the connection
  // is over, and until no handle that was made during this call (a timer, a watcher) keeps the loop
  // running. Does not wait for handles that existed before the call. Returns 0, or 1 if the
  // connection could not be taken or the loop failed, and logs such an error. The worker function
  // has to return this result. Exceptions of callbacks leave this function.
  int serve(Service& service);

 private:
  void finish();
  void end_now();
  [[nodiscard]] bool over(const Service& service);

  Loop loop_;
  Socket connection_;
  std::span<const std::byte> state_;
  UniqueFd lifeline_;
  SignalBlock& blocked_;
  Service* service_ = nullptr;
  std::vector<SignalWatcher> signals_;
  IoWatcher parent_;
  std::size_t keeping_before_ = 0;
  bool ended_ = false;
};

}  // namespace reactor::prefork
