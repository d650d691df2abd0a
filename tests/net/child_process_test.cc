// SPDX-License-Identifier: MIT
#include "reactor/process/child_process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"
#include "tests/support/temporary_folder.h"

extern char** environ;

namespace reactor {
namespace {

// Running is a Process with its output and exit status. It has pipes for all three standard
// streams, unless `options` says otherwise.
struct Running {
  Result<> start(Loop& loop, std::vector<std::string> arguments) {
    options.arguments = std::move(arguments);
    return start(loop);
  }
  Result<> start(Loop& loop) {
    Result<std::unique_ptr<Process>> result =
        Process::spawn(loop, options, [this](Process& ended, ExitStatus how) {
          EXPECT_FALSE(ended.running());
          status = how;
          ++exits;
          if (when_exit) when_exit();
        });
    if (!result) return result.error();
    process = std::move(*result);
    return {};
  }
  // Runs the loop until the process has exited and its output has ended.
  void finish(Loop& loop) {
    EXPECT_TRUE(run_bounded(loop, [&] {
      const auto over = [](Stream* stream, Recorder& recorder) {
        return stream == nullptr || recorder.closes > 0;
      };
      return exits > 0 && over(process->output(), out) && over(process->errors(), err);
    }));
  }

  Recorder in, out, err;
  ProcessOptions options{{},
                         {},
                         true,
                         {},
                         Redirect::null(),
                         Redirect::pipe(out),
                         Redirect::pipe(err),
                         ProcessGroup::same};
  Callback<void()> when_exit;
  std::optional<ExitStatus> status;
  int exits = 0;
  std::unique_ptr<Process> process;
};

std::vector<std::string> shell(std::string script) { return {"/bin/sh", "-c", std::move(script)}; }

class ChildProcessTest : public LoopTest {
 protected:
  // Returns the output of the command `arguments`.
  static std::string output_of(Loop& loop, Running& child, std::vector<std::string> arguments) {
    const Result<> result = child.start(loop, std::move(arguments));
    EXPECT_TRUE(result) << result.error().message();
    if (!result) return {};
    child.finish(loop);
    EXPECT_EQ(child.err.got, "");
    EXPECT_EQ(child.exits, 1);
    return child.out.got;
  }
  static bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }
};

// ---- Starting: arguments, environment, redirection ----

TEST_P(ChildProcessTest, AMegabyteGoesThroughItsInputAndOutput) {
  Loop loop(options());
  Running cat;
  cat.options.input = Redirect::pipe(cat.in);
  ASSERT_TRUE(cat.start(loop, {"cat"}));
  const std::string text = pattern(1 << 20);
  cat.process->input()->write(text);
  cat.process->input()->close();
  cat.finish(loop);
  EXPECT_TRUE(cat.out.got == text);
  EXPECT_EQ(cat.out.ends, 1);
  EXPECT_EQ(cat.in.closes, 1);
  EXPECT_FALSE(cat.in.error);
  EXPECT_EQ(cat.status->code(), 0);
}

TEST_P(ChildProcessTest, ArgumentsArriveAsTheyAre) {
  Loop loop(options());
  Running child;
  EXPECT_EQ(output_of(loop, child,
                      {"/bin/sh", "-c", "for a; do printf '%s|' \"$a\"; done", "name", "a b", "",
                       "c'd\"e", "*", "$HOME", "-n\n"}),
            "a b||c'd\"e|*|$HOME|-n\n|");
}

TEST_P(ChildProcessTest, TheEnvironmentIsExtendedOrReplaced) {
  Loop loop(options());
  ::setenv("REACTOR_TEST_A", "mine", 1);
  ::setenv("REACTOR_TEST_B", "mine", 1);
  const auto script = shell("echo $REACTOR_TEST_A,$REACTOR_TEST_B,$REACTOR_TEST_C");
  Running extended;
  extended.options.environment = {"REACTOR_TEST_B=its=own", "REACTOR_TEST_C=new"};
  EXPECT_EQ(output_of(loop, extended, script), "mine,its=own,new\n");
  Running replaced;
  replaced.options.inherit_environment = false;
  replaced.options.environment = {"REACTOR_TEST_C=only"};
  EXPECT_EQ(output_of(loop, replaced, script), ",,only\n");
  ::unsetenv("REACTOR_TEST_A");
  ::unsetenv("REACTOR_TEST_B");
}

TEST_P(ChildProcessTest, NoEnvironmentIsInheritedWhereThereIsNone) {
  EXPECT_EQ(in_child([this] {
              environ = nullptr;  // as clearenv(3) leaves it
              Loop loop(options());
              Running child;
              EXPECT_EQ(output_of(loop, child, {"/bin/sh", "-c", "echo ${HOME-none}"}), "none\n");
            }),
            0);
}

TEST_P(ChildProcessTest, OfSeveralPathsTheFirstIsSearched) {
  Loop loop(options());
  Running child;
  child.options.environment = {"PATH=/bin:/usr/bin", "PATH=/nowhere"};
  EXPECT_EQ(output_of(loop, child, {"echo", "found"}), "found\n") << "as getenv(3) would";
}

TEST_P(ChildProcessTest, ItStartsInItsDirectoryAndFindsProgramsFromThere) {
  Loop loop(options());
  const auto folder = std::filesystem::canonical("/bin");
  Running child;
  child.options.directory = folder.string();
  EXPECT_EQ(output_of(loop, child, {"./sh", "-c", "pwd -P"}), folder.string() + "\n");
  Running by_path;
  by_path.options.directory = folder.string();
  by_path.options.environment = {"PATH=/nowhere::/bin/sh"};
  EXPECT_EQ(output_of(loop, by_path, {"sh", "-c", "echo found"}), "found\n") << "empty: here";
}

TEST_P(ChildProcessTest, StreamsGoWhereTheyAreSent) {
  Loop loop(options());
  Running both;
  both.options.errors = Redirect::with_output();
  EXPECT_EQ(output_of(loop, both, shell("echo out; echo err >&2; cat")), "out\nerr\n");
  EXPECT_EQ(both.process->errors(), nullptr);
  const FdPair pipe = make_pipe();
  Running given;
  given.options.output = Redirect::to(pipe.far.get());
  given.options.errors = Redirect::null();
  EXPECT_EQ(output_of(loop, given, shell("echo given; echo nothing >&2")), "");
  EXPECT_EQ(read_text(pipe.near.get()), "given\n");
  EXPECT_NE(::fcntl(pipe.far.get(), F_GETFD) & FD_CLOEXEC, 0) << "it stays as it was";
  Running crossed;  // its output goes to stderr, and its errors to stdout
  crossed.options.output = Redirect::to(STDERR_FILENO);
  crossed.options.errors = Redirect::to(STDOUT_FILENO);
  EXPECT_EQ(output_of(loop, crossed, shell("test /dev/fd/1 -ef /dev/fd/1")), "");
  EXPECT_EQ(crossed.status->code(), 0);
}

// ---- Failures to start ----

TEST_P(ChildProcessTest, WhyItCouldNotStartIsTold) {
  Loop loop(options());
  Running child;
  child.options.input = Redirect::pipe(child.in);
  EXPECT_EQ(child.start(loop, {"/no/such/program"}).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(child.start(loop, {"no-such-program"}).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(child.start(loop, {""}).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(child.start(loop, {"/"}).error(), std::errc::permission_denied);
  const TemporaryFolder folder;
  const std::string file = folder.file("program");
  std::ofstream(file).close();
  EXPECT_EQ(child.start(loop, {file}).error(), std::errc::permission_denied);
  std::ofstream(file) << "echo no interpreter\n";
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  EXPECT_EQ(child.start(loop, {file}).error(), std::errc::executable_format_error);
  child.options.directory = "/no/such";
  EXPECT_EQ(child.start(loop, {"cat"}).error(), Errc::bad_directory);
  child.options.directory.clear();
  child.options.output = Redirect::to(-1);
  EXPECT_EQ(child.start(loop, {"cat"}).error(), std::errc::bad_file_descriptor);
  EXPECT_EQ(child.in.opens + child.in.closes, 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST_P(ChildProcessTest, BadOptionsAreErrors) {
  using std::string_literals::operator""s;
  Loop loop(options());
  Running child;
  EXPECT_EQ(child.start(loop, {}).error(), std::errc::invalid_argument);
  EXPECT_EQ(child.start(loop, {"cat", "a\0b"s}).error(), std::errc::invalid_argument);
  for (const char* const variable : {"NAME", "=value", ""}) {
    child.options.environment = {variable};
    EXPECT_EQ(child.start(loop, {"cat"}).error(), std::errc::invalid_argument) << variable;
  }
  for (Redirect ProcessOptions::*const other : {&ProcessOptions::input, &ProcessOptions::output}) {
    Running mistaken;
    mistaken.options.*other = Redirect::with_output();
    EXPECT_EQ(mistaken.start(loop, {"cat"}).error(), std::errc::invalid_argument);
  }
}

TEST_P(ChildProcessTest, WithTooFewDescriptorsItFailsAndLeavesNothing) {
  Loop loop(options());
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const UniqueFd lowest(::dup(STDIN_FILENO));
  int failures = 0;
  for (bool started = false; !started && failures < 30;) {
    Running child;
    child.options.input = Redirect::pipe(child.in);
    const auto before = FdGuard::open_descriptors();
    rlimit few = limit;
    few.rlim_cur = static_cast<rlim_t>(lowest.get() + 1 + failures);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const Result<> result = child.start(loop, {"cat"});
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    started = result.has_value();
    if (started) break;
    ++failures;
    EXPECT_EQ(result.error(), std::errc::too_many_files_open);
    EXPECT_EQ(FdGuard::open_descriptors(), before);
  }
  EXPECT_GE(failures, 6);
  EXPECT_LT(failures, 30);
}

// ---- The end of the process ----

TEST_P(ChildProcessTest, TheExitCodeAndTheSignalAreTold) {
  Loop loop(options());
  Running coded;
  static_cast<void>(output_of(loop, coded, shell("exit 42")));
  EXPECT_EQ(coded.status->code(), 42);
  EXPECT_EQ(coded.process->kill(SIGTERM).error(), std::errc::no_such_process);
  Running killed;
  killed.options.input = Redirect::pipe(killed.in);
  ASSERT_TRUE(killed.start(loop, {"cat"}));
  EXPECT_TRUE(killed.process->running());
  EXPECT_TRUE(killed.process->kill(SIGTERM));
  killed.finish(loop);
  EXPECT_EQ(killed.status->signal(), SIGTERM);
}

TEST_P(ChildProcessTest, AChildThatReadsNothingEndsItsInputWithBrokenPipe) {
  Loop loop(options());
  Running child;
  child.options.input = Redirect::pipe(child.in);
  ASSERT_TRUE(child.start(loop, shell("exit 3")));
  child.process->input()->write(pattern(1 << 20));
  child.finish(loop);
  EXPECT_TRUE(run_bounded(loop, [&] { return child.in.closes == 1; }));
  EXPECT_EQ(child.in.error, std::errc::broken_pipe);
  EXPECT_EQ(child.status->code(), 3);
}

TEST_P(ChildProcessTest, FiftyAtOnce) {
  Loop loop(options());
  std::vector<std::unique_ptr<Running>> children;
  for (int i = 0; i < 50; ++i) {
    children.push_back(std::make_unique<Running>());
    ASSERT_TRUE(
        children.back()->start(loop, {"/bin/sh", "-c", "echo $0; exit $0", std::to_string(i)}));
  }
  for (int i = 0; i < 50; ++i) {
    Running& child = *children[static_cast<std::size_t>(i)];
    child.finish(loop);
    EXPECT_EQ(child.status->code(), i);
    EXPECT_EQ(child.out.got, std::to_string(i) + "\n");
  }
}

TEST_P(ChildProcessTest, DestructionKillsAndNoZombieIsLeft) {
  Loop loop(options());
  std::vector<pid_t> pids;
  for (int i = 0; i < 5; ++i) {
    Running child;
    ASSERT_TRUE(child.start(loop, {"sleep", "1000"}));
    pids.push_back(child.process->pid());
    EXPECT_FALSE(is_gone(pids.back()));
  }
  EXPECT_TRUE(run_bounded(loop, [&] { return loop.counts().children == 0; }));
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST_P(ChildProcessTest, NeitherALoopThatGoesAtOnceNorOneThatWentBeforeLeavesAZombie) {
  pid_t first = 0, second = 0;
  Running survivor;
  {
    Loop loop(options());
    Running child;
    ASSERT_TRUE(child.start(loop, {"sleep", "1000"}));
    survivor.options.output = survivor.options.errors = Redirect::null();
    ASSERT_TRUE(survivor.start(loop, {"sleep", "1000"}));
    first = child.process->pid();
    second = survivor.process->pid();
  }
  EXPECT_TRUE(is_gone(first));
  survivor.process.reset();
  EXPECT_TRUE(is_gone(second));
}

TEST_P(ChildProcessTest, AChildThatIsBeingKilledDoesNotHoldUpRun) {
  Loop loop(options());
  {
    Running child;
    ASSERT_TRUE(child.start(loop, {"sleep", "1000"}));
  }
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(ChildProcessTest, AGroupOfItsOwnIsKilledAsAWhole) {
  Loop loop(options());
  for (const ProcessGroup group : {ProcessGroup::own, ProcessGroup::session}) {
    FdPair pipe = make_pipe();
    Running child;
    child.options.group = group;
    child.options.output = Redirect::to(pipe.far.get());
    ASSERT_TRUE(child.start(loop, shell("sleep 1000 & echo $!; wait")));
    pipe.far.reset();
    std::string text;
    EXPECT_TRUE(pump(loop, [&] { return !(text += read_text(pipe.near.get())).empty(); }));
    EXPECT_EQ(::getpgid(child.process->pid()), child.process->pid());
    const bool leads = ::getsid(child.process->pid()) == child.process->pid();
    EXPECT_EQ(leads, group == ProcessGroup::session);
    child.process.reset();
    EXPECT_TRUE(pump(loop, [&] {  // until no process has the other end any more
      char byte = 0;
      return ::read(pipe.near.get(), &byte, 1) == 0;
    }));
  }
}

// After waitpid(), the child's pid is free. But it still names a process group, which another
// process has joined. kill() must not reach that process.
TEST_P(ChildProcessTest, WhatAnotherHasWaitedForIsNotKilledAnyMore) {
  Loop loop(options());
  Running child;
  child.options.group = ProcessGroup::own;
  child.options.output = child.options.errors = Redirect::null();
  ASSERT_TRUE(child.start(loop, {"sleep", "1000"}));
  const pid_t pid = child.process->pid();
  const pid_t stranger = spawn_sleeper();
  ASSERT_EQ(::setpgid(stranger, pid), 0);
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_EQ(child.process->kill(SIGKILL).error(), std::errc::no_such_process);
  child.process.reset();
  EXPECT_EQ(::kill(stranger, SIGTERM), 0);
  EXPECT_EQ(wait_for_child(stranger), 128 + SIGTERM);
}

TEST_P(ChildProcessTest, AReleasedOneLivesOnAndIsWaitedFor) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  ::fcntl(pipe.near.get(), F_SETFL, 0);
  pid_t pid = 0;
  {
    Running child;
    child.options.input = Redirect::to(pipe.near.get());
    child.options.output = Redirect::null();
    ASSERT_TRUE(child.start(loop, {"cat"}));
    pid = child.process->pid();
    child.process->release();
  }
  EXPECT_TRUE(loop.poll());
  EXPECT_FALSE(is_gone(pid));
  pipe = {};
  EXPECT_TRUE(run_bounded(loop, [&] { return loop.counts().children == 0; }));
  EXPECT_TRUE(is_gone(pid));
}

TEST_P(ChildProcessTest, ItsCallbacksMayDestroyIt) {
  Loop loop(options());
  Running child;
  child.when_exit = [&] { child.process.reset(); };
  ASSERT_TRUE(child.start(loop, {"true"}));
  EXPECT_TRUE(run_bounded(loop, [&] { return child.process == nullptr; }));
  Running other;
  other.out.when_data = [&](Stream&, std::string_view) { other.process.reset(); };
  ASSERT_TRUE(other.start(loop, shell("echo; sleep 1000")));
  EXPECT_TRUE(run_bounded(loop, [&] { return other.process == nullptr; }));
  EXPECT_EQ(other.exits, 0);
}

TEST_P(ChildProcessTest, G9_AForkedChildLeavesItAlone) {
  Loop loop(options());
  const FdPair trace = make_pipe();
  Running child;
  child.options.input = Redirect::pipe(child.in);
  ASSERT_TRUE(child.start(loop, {"cat"}));
  EXPECT_EQ(in_child([&] {
              EXPECT_EQ(child.process->kill(SIGKILL).error(), Errc::wrong_process);
              child.process.reset();
              Running another;
              another.options.output = Redirect::to(trace.far.get());
              another.options.errors = Redirect::null();
              EXPECT_EQ(another.start(loop, {"echo", "ran"}).error(), Errc::wrong_process);
            }),
            0);
  EXPECT_EQ(read_text(trace.near.get()), "") << "nothing was run";
  child.process->input()->write("still here");
  child.process->input()->close();
  child.finish(loop);
  EXPECT_EQ(child.out.got, "still here");
}

// ---- Inherited descriptors ----

TEST_P(ChildProcessTest, NoDescriptorLeaksIntoIt) {
  Loop loop(options());
  const UniqueFd plain(::fcntl(STDIN_FILENO, F_DUPFD, 90));  // not closed on exec by itself
  Running neighbour;
  neighbour.options.input = Redirect::pipe(neighbour.in);
  ASSERT_TRUE(neighbour.start(loop, {"cat"}));
  Running child;
  child.options.input = Redirect::pipe(child.in);
  const std::string text = output_of(loop, child, shell("echo /dev/fd/*"));
  for (const char* const number : {"/0", "/1", "/2"}) {
    EXPECT_NE(text.find(number), std::string::npos) << text;
  }
  // The shell itself opens one more descriptor to read the folder.
  EXPECT_LE(std::count(text.begin(), text.end(), ' '), 3) << text;
  EXPECT_EQ(::fcntl(plain.get(), F_GETFD), 0) << "here it is as it was";
  neighbour.process->input()->close();
  neighbour.finish(loop);
}

#if defined(SO_PEERCRED)
TEST_P(ChildProcessTest, NoSignalIsBlockedOrIgnoredInIt) {
  Loop loop(options());
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  auto* const old_pipe = std::signal(SIGPIPE, SIG_IGN);
  auto* const old_hup = std::signal(SIGHUP, [](int) {});
  Running child;
  const std::string text =
      output_of(loop, child, {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"});
  std::signal(SIGPIPE, old_pipe);
  std::signal(SIGHUP, old_hup);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::string none = ":\t0000000000000000\n";
  EXPECT_EQ(text, "SigBlk" + none + "SigIgn" + none);
}
#endif

INSTANTIATE_TEST_SUITE_P(Backends, ChildProcessTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
