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

// A process that was forked for one connection: it has that connection and a loop. ForkServer makes
// this object in the child. Thread: the only one of the process. Callbacks may call loop().
//
// The process ends when its parent does. TERM asks it to finish, QUIT ends it at once. All other
// signals that the parent's loop watched are ignored here, for example INT, which a terminal sends
// to all.
class Child {
 public:
  // `state`: see Service::adopt_connection(). `lifeline`: reads end of file once the parent is
  // gone. `blocked`: the signals that were blocked around the fork; serve() lifts it. Throws what
  // Loop throws.
  Child(Socket connection, std::span<const std::byte> state, UniqueFd lifeline, Backend backend,
        SignalBlock& blocked);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The loop of this process. Callbacks may take as long as they like: none is reported as slow.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  // Gives the connection to `service`, which has no listeners. Runs the loop until the connection
  // is over, and until everything that was started for it and keeps run() going has ended. Handles
  // that existed before the call are not waited for. Return the result from the worker function: 0,
  // or 1 if the connection could not be taken or the loop failed, which is logged. Throws what a
  // callback throws.
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
