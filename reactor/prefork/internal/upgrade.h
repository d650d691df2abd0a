// SPDX-License-Identifier: MIT
// Upgrade: the old program starts the new one, leaves its sockets to it, and hears whether it is
// ready. Private to prefork. The two sides:
//
// clang-format off
//   old: Upgrade::start()  -- forks, executes --> new: Inheritance::take()
//        Upgrade::look()   <------ `ready` -------     say_ready(): its workers could accept
//        Upgrade::let_go() ----- end of file ---->     end_of_earlier(): now they accept
// clang-format on
//
// Until the old program lets go, the sockets belong to it and the new program takes no connection.
// If the new program fails or is stopped before that, no connection is cut off.
//
// The environment variable kName gives the new program the number of a socket. The new program
// reads from this socket, line by line, the meaning of the other descriptors' numbers:
//   group BALANCED FD,FD,... KEY     the listeners of one address; KEY as Bind's to_string()
//   mailboxes IN,OUT,IN,OUT,...
//   end
// When the new program is able to serve, it answers `R` and the numbers of the groups that it did
// not take, for example `R0,2`. Programs of earlier versions send and read only the R.
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
#include "reactor/prefork/internal/system/run_clock.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

// The listeners of one address, as the old program describes them to the new one.
struct ListenerGroup {
  std::string key;
  bool balanced = false;
  std::vector<int> descriptors;
  int index = 0;  // in the old program's list
};

// The descriptors that the old program leaves to the new one.
struct UpgradeState {
  std::vector<ListenerGroup> groups;
  std::vector<std::pair<int, int>> mailboxes;  // the ends in and out of each
};

class Upgrade {
 public:
  static constexpr const char* kName = "REACTOR_UPGRADE";

  enum class News {
    none,
    ready,   // the new program waits for let_go(); reported in each turn until then
    failed,  // the new program is gone; failure() says why
  };

  explicit Upgrade(const RunClock& clock) noexcept : clock_(clock) {}

  // `limit`: how long the new program may take until let_go(); 0: no limit. Errors: those of
  // socketpair(2) and fork(2); no_buffer_space if `state` is too large for the socket. If exec(2)
  // fails, the new process logs the error and ends.
  [[nodiscard]] std::error_code start(const Options::Upgrade& how, const UpgradeState& state,
                                      Duration limit);

  // True from start() until let_go(), or until the new program is gone.
  [[nodiscard]] bool running() const noexcept { return pid_ != 0; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // To be polled for reading; -1 if no news can come.
  [[nodiscard]] int fd() const noexcept { return state_ == State::starting ? channel_.get() : -1; }
  // When look() has to be called even if no news comes.
  [[nodiscard]] TimePoint next_turn() const noexcept;
  // Reads the answer of the new program, ends that program if it is late, and reaps it. Called in
  // each turn; never blocks.
  [[nodiscard]] News look();
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  // The groups of the UpgradeState that the new program does not have, by their numbers. Complete
  // after News::ready.
  [[nodiscard]] const std::vector<int>& dropped() const noexcept { return dropped_; }

  // Called after News::ready. From then on the sockets belong to the new program, and this program
  // no longer watches the new one.
  void let_go() noexcept;
  // Ends the new program: sends TERM, and KILL if it is still there 2 s later. look() reaps it.
  void cancel(const std::string& why);
  // Called in a worker, which has no part in the upgrade.
  void abandon() noexcept { channel_.reset(); }

 private:
  // silent: the new program closed its end, and should exit in a moment. ending: it got TERM.
  enum class State { starting, ready, silent, ending };

  [[nodiscard]] bool gone();
  void hear();
  void end_late_program();

  const RunClock& clock_;
  UniqueFd channel_;
  pid_t pid_ = 0;
  State state_ = State::starting;
  TimePoint deadline_ = TimePoint::max();  // for let_go(), or for ending
  std::string failure_;
  std::vector<int> dropped_;
};

// Inheritance has the sockets that the new program got from the old one, and the new program's end
// of the channel between the two.
class Inheritance {
 public:
  // Reads from the socket that kName names, and removes kName from the environment. Returns an
  // empty Inheritance if kName is not set. Errors are logged.
  [[nodiscard]] static Inheritance take();

  // Whether an old program waits for this one.
  explicit operator bool() const noexcept { return static_cast<bool>(channel_); }
  // Whether an old program started this one, but the text on its socket can't be read. Then this
  // program must end. If it went on, it would bind the addresses beside the old program. The old
  // program would wait for an answer in vain, and then end this one in the middle of its work.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  // Removes the groups of this key from this object and returns them; empty if there are none.
  [[nodiscard]] std::vector<ListenerGroup> take_groups(const std::string& key);
  [[nodiscard]] std::vector<std::pair<UniqueFd, UniqueFd>> take_mailboxes();
  // Closes the listeners that nobody took. say_ready() names them to the old program.
  void close_rest();
  // Called in a worker, because only the master says whether this program is ready.
  void abandon() noexcept { channel_.reset(); }

  // Tells the old program that this one could serve, so that it lets go. Later calls do nothing.
  void say_ready() noexcept;
  // To be polled for reading after say_ready(); -1 before.
  [[nodiscard]] int fd() const noexcept { return said_ready_ ? channel_.get() : -1; }
  // Returns true, once, when the old program has let go or died. Everything then belongs to this
  // program.
  [[nodiscard]] bool end_of_earlier() noexcept;

 private:
  [[nodiscard]] bool read();
  [[nodiscard]] bool parse(std::string_view line);

  UniqueFd channel_;
  bool said_ready_ = false;
  bool broken_ = false;
  UpgradeState inherited_;
  std::vector<int> dropped_;
};

}  // namespace reactor::prefork
