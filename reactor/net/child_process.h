// SPDX-License-Identifier: MIT
// Process: another program, run as a child of this process.
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
#include "reactor/net/stream.h"

namespace reactor {

// What one of the three standard streams of a Process is.
class Redirect {
 public:
  // That of this process; the default.
  Redirect() noexcept = default;
  [[nodiscard]] static Redirect inherit() noexcept { return {}; }
  // Nothing to read; what is written is dropped (/dev/null).
  [[nodiscard]] static Redirect null() noexcept { return Redirect(Kind::null); }
  // A copy of `fd`, which stays yours: needed until spawn() returns.
  [[nodiscard]] static Redirect to(int fd) noexcept;
  // For errors only, else spawn() fails: where the output goes, whatever that is.
  [[nodiscard]] static Redirect with_output() noexcept { return Redirect(Kind::with_output); }
  // A pipe. Its other end is Process::input(), output() or errors(), a Stream with `handler`. Both
  // outlive the Process.
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

// Whom a new process belongs to. `own`: a process group of its own, which the terminal's Ctrl-C
// does not reach (setpgid(2)); `session`: a session besides, without a terminal (setsid(2)). kill()
// and destruction then reach all of the group, its own children too.
enum class ProcessGroup : std::uint8_t { same, own, session };

struct ProcessOptions {
  // argv, at least the first: the program, which is looked for in the new process's PATH unless it
  // has a slash. No shell is involved, so nothing needs to be quoted.
  std::vector<std::string> arguments;
  // NAME=VALUE: replaces or adds to those of this process, or is all there is.
  std::vector<std::string> environment;
  bool inherit_environment = true;
  // Where it starts; a relative program is looked for from there. Empty: where this process is.
  std::string directory;

  Redirect input, output, errors;
  ProcessGroup group = ProcessGroup::same;
};

// Belongs to its loop's thread; callbacks may call all of it, and destroy it. It has no descriptors
// but the three, no signal is blocked or ignored in it. Only its own pid is ever waited for, and
// nobody else should: with a waitpid(-1) of yours, or SIGCHLD ignored, it ends with
// no_child_process in place of its status, and is not killed where its pid is free already. Keeps
// Loop::run() going until it has ended and its pipes are closed.
class Process {
 public:
  // Called once, in the loop, when it has ended; what it wrote last may still have to be read: that
  // is over at on_end(). Not called after destruction.
  using OnExit = Callback<void(Process&, ExitStatus)>;

  // Starts it; its Streams start in the loop's next turn, no callback is called inside. Takes as
  // long as fork(2) and exec(3) do; a thread of yours that forks without exec at this moment holds
  // it up. Errors: invalid_argument (no program, a NUL octet inside a text, a variable without a
  // name, with_output() for what is not the errors); no_such_file_or_directory, permission_denied,
  // executable_format_error and others of execve(2); Errc::bad_directory, wrong_process; those of
  // pipe(2), fork(2), fcntl(2) and Loop::on_exit(). Nothing is left behind then.
  [[nodiscard]] static Result<std::unique_ptr<Process>> spawn(
      Loop& loop, const ProcessOptions& options, OnExit on_exit,
      SourceLocation where = SourceLocation::current());

  // Kills it (SIGKILL) if it still runs, without waiting for that: the loop looks after its end in
  // the background, or the Loop's destructor does. In a forked child it does nothing (G9).
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Of the child, or of the one that was.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Until on_exit() is called.
  [[nodiscard]] bool running() const noexcept;
  // Sends a signal to it, or to its own group. Errors: no_such_process where it is not running(),
  // or somebody else has waited for it; Errc::wrong_process in a forked child; those of kill(2).
  Result<> kill(int signal) noexcept;
  // It may live on when this is destroyed; it is then waited for as long as the loop lives.
  void release() noexcept { kills_ = false; }

  // The ends of its pipes; null where there are none. close() of the first is the end of its input;
  // where it reads no more, writing ends that Stream with broken_pipe.
  [[nodiscard]] Stream* input() const noexcept { return streams_[0].get(); }
  [[nodiscard]] Stream* output() const noexcept { return streams_[1].get(); }
  [[nodiscard]] Stream* errors() const noexcept { return streams_[2].get(); }

 private:
  struct Ward;
  struct Setup;
  explicit Process(OnExit on_exit) noexcept;
  Result<> watch(Loop& loop, SourceLocation where);
  void start_next();
  void ended(ExitStatus status);

  OnExit on_exit_;
  pid_t pid_ = -1;
  bool kills_ = true;
  std::unique_ptr<Ward> ward_;  // null once it has ended
  std::array<std::unique_ptr<Stream>, 3> streams_;
  std::size_t started_ = 0;  // how many of them
  Deferred starter_;
};

}  // namespace reactor
