// SPDX-License-Identifier: MIT
// Process runs another program as a child of this process.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/result.h"
#include "reactor/loop/loop.h"
#include "reactor/net/stream/stream.h"

namespace reactor {

// Redirect says where one of the three standard streams of a Process leads.
class Redirect {
 public:
  // Leads to the same file as in this process; the default.
  Redirect() noexcept = default;
  [[nodiscard]] static Redirect inherit() noexcept { return {}; }
  // Leads to /dev/null: there is nothing to read, and output is dropped.
  [[nodiscard]] static Redirect null() noexcept { return Redirect(Kind::null); }
  // Leads to a copy of `fd`. The caller keeps `fd`, and must leave it open until spawn() returns.
  [[nodiscard]] static Redirect to(int fd) noexcept;
  // Leads to the same file as the child's output. Only for ProcessOptions::errors; otherwise
  // spawn() fails.
  [[nodiscard]] static Redirect with_output() noexcept { return Redirect(Kind::with_output); }
  // Leads to a pipe. Its other end is Process::input(), output() or errors(), a Stream with
  // `handler`. `handler` and `options` must outlive the Process.
  [[nodiscard]] static Redirect pipe(StreamHandler& handler) noexcept;
  [[nodiscard]] static Redirect pipe(StreamHandler& handler, const StreamOptions& options) noexcept;

 private:
  friend class Process;
  enum class Kind : std::uint8_t { inherit, null, descriptor, with_output, pipe };
  explicit Redirect(Kind kind) noexcept : kind_(kind) {}

  Kind kind_ = Kind::inherit;
  int fd_ = -1;
  StreamHandler* handler_ = nullptr;
  const StreamOptions* options_ = nullptr;
};

// The process group of the child:
//   same     The group of this process.
//   own      A new group, which the terminal's Ctrl-C does not reach (setpgid(2)).
//   session  A new group in a new session without a terminal (setsid(2)).
// With `own` and `session`, kill() and ~Process() reach all of the group, also the child's own
// children.
enum class ProcessGroup : std::uint8_t { same, own, session };

struct ProcessOptions {
  // The program and its arguments (argv). The program is looked up in the child's PATH unless its
  // name has a slash. No shell is involved, so nothing needs to be quoted.
  std::vector<std::string> arguments;
  // Variables, as NAME=VALUE. They replace or add to those of this process; without
  // inherit_environment the child has no others.
  std::vector<std::string> environment;
  bool inherit_environment = true;
  // The child's working directory. A relative program is looked up from there. Empty: the directory
  // of this process.
  std::string directory;

  Redirect input, output, errors;
  ProcessGroup group = ProcessGroup::same;
};

// A Process belongs to its loop's thread. Callbacks may call any of its functions, and may destroy
// it. The child has no descriptors except its standard streams, and no signal is blocked or ignored
// in it.
//
// The loop waits for the child's pid only, and no other code should wait for it. If the program
// calls waitpid(-1) or ignores SIGCHLD, the Process may end with no_child_process instead of a
// status, and then it can't kill the child any more. A Process keeps Loop::run() going until the
// child has ended and its pipes are closed.
class Process {
 public:
  // Called once, from the loop, when the child has ended. Its last output may not have been read
  // yet; on_end() of the Stream tells when it has been. Not called after destruction.
  using OnExit = Callback<void(Process&, ExitStatus)>;

  // Starts the program. Its Streams start in the loop's next turn, so no callback runs inside this
  // call. It waits until the child's exec(3) is done. If another thread forks at the same moment,
  // it may also wait until that thread's child calls exec or exits. After any of these errors
  // nothing is left behind:
  //   invalid_argument: no program, a NUL byte inside a text, a variable without a name, or
  //     with_output() for a stream other than `errors`
  //   Errc::bad_directory, wrong_process
  //   no_such_file_or_directory, permission_denied, executable_format_error, others of execve(2)
  //   those of pipe(2), fork(2), fcntl(2) and Loop::on_exit()
  [[nodiscard]] static Result<std::unique_ptr<Process>> spawn(
      Loop& loop, const ProcessOptions& options, OnExit on_exit,
      SourceLocation where = SourceLocation::current());

  // Kills the child (SIGKILL) if it still runs, unless release() was called. Does not wait for the
  // child: the loop does so in the background, or else ~Loop(). Does nothing in a process that was
  // forked from this one (G9).
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Returns the child's pid, also after the child has ended.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Returns true until the OnExit callback is called.
  [[nodiscard]] bool running() const noexcept;
  // Sends a signal to the child, or to its own group. Errors: no_such_process if running() is false
  // or if other code has waited for the child; Errc::wrong_process in a process that was forked
  // from this one; those of kill(2).
  Result<> kill(int signal) noexcept;
  // Lets the child continue when this object is destroyed. The loop then still waits for the child,
  // as long as the loop exists.
  void release() noexcept { kills_ = false; }

  // These return our end of the pipe, or null if the stream is not redirected to a pipe.
  // input()->close() ends the child's input. If the child has stopped reading, a write to input()
  // ends that Stream with broken_pipe.
  [[nodiscard]] Stream* input() const noexcept { return streams_[0].get(); }
  [[nodiscard]] Stream* output() const noexcept { return streams_[1].get(); }
  [[nodiscard]] Stream* errors() const noexcept { return streams_[2].get(); }

 private:
  struct Orphans;
  struct Ward;
  struct Setup;
  explicit Process(OnExit on_exit) noexcept;
  Result<> watch(Loop& loop, SourceLocation where);
  void start_next();
  void ended(ExitStatus status);

  OnExit on_exit_;
  pid_t pid_ = -1;
  bool kills_ = true;
  std::unique_ptr<Ward> ward_;  // null after the child has ended
  std::array<std::unique_ptr<Stream>, 3> streams_;
  std::size_t started_ = 0;  // how many of streams_ have started
  Deferred starter_;
};

}  // namespace reactor
