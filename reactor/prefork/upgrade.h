// SPDX-License-Identifier: MIT
// Upgrade: the old program starts the new one, leaves it its sockets, and hears whether it is
// ready. Private to prefork. The two sides:
//
// clang-format off
//   old: Upgrade::start()  -- forks, executes --> new: Inheritance::take()
//        Upgrade::look()   <------ `ready` -------     say_ready(): its workers could accept
//        Upgrade::let_go() ----- end of file ---->     end_of_earlier(): now they accept
// clang-format on
//
// Until the old program lets go the sockets are its own, and the new one takes no connection: if it
// fails before that, or is stopped, nothing was begun that could be cut off.
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

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/options.h"
#include "reactor/prefork/run_clock.h"

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

  enum class News {
    none,
    ready,   // it waits for let_go()
    failed,  // it is gone, which is logged; failure() says why
  };

  explicit Upgrade(const RunClock& clock) noexcept : clock_(clock) {}

  // The new program has `limit` to become ready; 0: as long as it likes. Errors: those of
  // socketpair(2) and fork(2). What exec(2) says is logged by the new process, which then ends.
  [[nodiscard]] std::error_code start(const Options::Upgrade& how, const Estate& estate,
                                      Duration limit);

  // From start() until let_go(), or until the new program is gone.
  [[nodiscard]] bool running() const noexcept { return pid_ != 0; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // To be polled for reading; -1 if there is nothing to hear.
  [[nodiscard]] int fd() const noexcept { return state_ == State::starting ? channel_.get() : -1; }
  // When look() has something to do without news.
  [[nodiscard]] TimePoint next_turn() const noexcept { return deadline_; }
  // Hears the new program, ends it if it is late, and waits for it. In each turn; never blocks.
  [[nodiscard]] News look();
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  // After `ready`: the new program is on its own, and no longer our business.
  void let_go() noexcept;
  // Ends the new program: TERM, and KILL if it is still there 2 s later. look() waits for it.
  void cancel(const std::string& why);
  // In a worker: nothing of it is ours.
  void abandon() noexcept { channel_.reset(); }

 private:
  // silent: it closed its end, and should be gone in a moment. ending: it got TERM.
  enum class State { starting, silent, ending };

  [[nodiscard]] bool gone();

  const RunClock& clock_;
  UniqueFd channel_;
  pid_t pid_ = 0;
  State state_ = State::starting;
  TimePoint deadline_ = TimePoint::max();  // to be ready, or gone
  std::string failure_;
};

class Inheritance {
 public:
  // Reads what kName points to, and takes that out of the environment. Empty if there is nothing.
  // Errors are logged.
  [[nodiscard]] static Inheritance take();

  // Whether an old program waits for us.
  explicit operator bool() const noexcept { return static_cast<bool>(channel_); }
  // One did, but what it says can't be read. To go on without it would be to bind its addresses
  // beside it, and to be ended by it in the midst of serving.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  // The groups of this key, for each once; empty where there is none.
  [[nodiscard]] std::vector<ListenerGroup> take_groups(const std::string& key);
  [[nodiscard]] std::vector<std::pair<UniqueFd, UniqueFd>> take_mailboxes();
  // Closes what nobody took.
  void close_rest();
  // In a worker: whether we are ready is the master's to say.
  void abandon() noexcept { channel_.reset(); }

  // We could serve: the old program is asked to let go. Once.
  void say_ready() noexcept;
  // After say_ready(), to be polled for reading; else -1.
  [[nodiscard]] int fd() const noexcept { return said_ready_ ? channel_.get() : -1; }
  // True, once: the old program let go, or died. All is ours.
  [[nodiscard]] bool end_of_earlier() noexcept;

 private:
  [[nodiscard]] bool read();
  [[nodiscard]] bool parse(std::string_view line);

  UniqueFd channel_;
  bool said_ready_ = false;
  bool broken_ = false;
  Estate estate_;
};

}  // namespace reactor::prefork
