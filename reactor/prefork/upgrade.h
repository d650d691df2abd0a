// SPDX-License-Identifier: MIT
// Upgrade: the old program starts the new one, leaves it its sockets, and hears whether it serves.
// Private to prefork. The two sides:
//
//   old: Upgrade::start() -- forks, executes --> new: Inheritance::take()
//        Upgrade::news()  <-- `ready`, or the end of file --  Inheritance::say_ready()
//
// The new program finds the number of a socket in the environment (kName) and reads from it, line
// by line, what other numbers stand for:
//   group BALANCED FD,FD,... KEY     the listeners of one address; KEY as Bind's to_string()
//   mailboxes IN,OUT,IN,OUT,...
//   end
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/options.h"

namespace reactor::prefork {

// The listeners of one address, as they are passed on.
struct ListenerGroup {
  std::string key;
  bool balanced = false;
  std::vector<int> descriptors;
};

struct Estate {
  std::vector<ListenerGroup> groups;
  std::vector<std::pair<int, int>> mailboxes;  // in, out
};

class Upgrade {
 public:
  static constexpr const char* kName = "REACTOR_UPGRADE";

  enum class News { none, ready, failed };

  // Errors: those of socketpair(2) and fork(2). What exec(2) says is logged by the new process,
  // whose end is `failed`.
  [[nodiscard]] std::error_code start(const Options::Upgrade& how, const Estate& estate);

  [[nodiscard]] bool running() const noexcept { return pid_ != 0; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // To be polled for reading; -1 where none runs.
  [[nodiscard]] int fd() const noexcept { return channel_.get(); }
  // ready: the new program is on its own, and no more our business. failed: it is gone, or sent
  // away. Both end this.
  [[nodiscard]] News news();
  // The old program ends before the new one serves, or waited long enough: the new one ends.
  void cancel() noexcept;
  // In a worker: nothing of it is ours.
  void abandon() noexcept { channel_.reset(); }

 private:
  UniqueFd channel_;
  pid_t pid_ = 0;
};

class Inheritance {
 public:
  // Reads what kName points to, and takes that out of the environment. Empty where there is
  // nothing, and where it makes no sense, which is logged.
  [[nodiscard]] static Inheritance take();

  // Whether an old program waits for us.
  explicit operator bool() const noexcept { return static_cast<bool>(channel_); }
  // The groups of this key, for each once; empty where there is none.
  [[nodiscard]] std::vector<ListenerGroup> take_groups(const std::string& key);
  [[nodiscard]] std::vector<std::pair<UniqueFd, UniqueFd>> take_mailboxes();
  // Closes what nobody took.
  void close_rest();
  // In a worker: whether we are ready is the master's to say.
  void abandon() noexcept;
  // From here on the old program hands its connections over and ends.
  void say_ready();

 private:
  [[nodiscard]] bool read();
  [[nodiscard]] bool parse(std::string_view line);

  UniqueFd channel_;
  Estate estate_;
};

}  // namespace reactor::prefork
