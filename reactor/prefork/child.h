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

// A process that was forked for one connection: that connection, and a loop for it. Made by
// ForkServer in the child. Its one thread only; callbacks may call loop().
//
// It ends when its parent does. TERM asks it to finish, QUIT ends it at once; what else the parent
// watched by its loop is ignored here, as INT, which a terminal sends to all.
class Child {
 public:
  // `state`: see Service::take_over(). `lifeline`: at its end when the parent is gone. `blocked`:
  // signals, lifted by serve(). Throws what Loop does.
  Child(Socket connection, std::span<const std::byte> state, UniqueFd lifeline, Backend backend,
        SignalBlock& blocked);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // This process's own. Callbacks may take as long as they like: none is reported as slow.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  // Gives the connection to `service`, which has no listeners, and runs the loop until the
  // connection is over, and with it whatever was started for it and keeps run() going. Handles that
  // were there before are not waited for. The result is for the function to return: 0, or 1 where
  // the connection could not be taken or the loop failed, which is logged. Throws what a callback
  // throws.
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
