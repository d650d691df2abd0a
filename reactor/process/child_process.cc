// SPDX-License-Identifier: MIT
// spawn() makes the Ward, which waits for the child, before it forks. So no failure after the fork
// leaves a child that nobody waits for: ~Process() kills the child, and ~Ward() waits for it.
//
//   spawn() --> the child runs --> it ends: on_exit()
//                     |
//                 ~Process, which kills the child or releases it
//                     |
//                     v
//               its Ward is an orphan of the loop --> it ends: the Ward is freed
//
// While the loop exists, the Ward waits for the child, whether ~Process killed or released it. If
// the loop is destroyed before the child has ended, only a child that was killed is waited for.
#include "reactor/process/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <list>
#include <memory>
#include <string_view>
#include <utility>

#include "reactor/base/internal/c_string.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/process/internal/unix_pipe.h"
#include "reactor/process/internal/unix_spawn.h"
#include "reactor/process/pipe.h"

// NOLINTNEXTLINE(readability-redundant-declaration): macOS does not declare it in unistd.h
extern char** environ;

namespace reactor {
namespace {

const StreamOptions kDefaultOptions;

// ~Loop() waits at most this often, 1 ms each, for a child that was killed just before.
constexpr int kLastWaits = 200;  // of 1 ms each

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

std::vector<std::string> environment_for(const ProcessOptions& options) {
  std::vector<std::string> result = options.environment;
  if (!options.inherit_environment || environ == nullptr) return result;  // null after clearenv(3)
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view variable(*each);
    const bool replaced =
        std::any_of(options.environment.begin(), options.environment.end(),
                    [&](const std::string& own) { return name_of(own) == name_of(variable); });
    if (!replaced) result.emplace_back(variable);
  }
  return result;
}

// Returns the files that execvp(3) would try.
std::vector<std::string> files_for(const std::string& program,
                                   const std::vector<std::string>& environment) {
  if (program.empty() || program.find('/') != std::string::npos) return {program};
  std::string_view path = "/usr/local/bin:/bin:/usr/bin";
  const auto found =
      std::find_if(environment.begin(), environment.end(),
                   [](const std::string& variable) { return variable.starts_with("PATH="); });
  if (found != environment.end()) path = std::string_view(*found).substr(5);
  std::vector<std::string> files;
  for (std::size_t start = 0, end = 0; end != std::string_view::npos; start = end + 1) {
    end = path.find(':', start);
    const std::string_view folder = path.substr(start, end - start);
    files.push_back((folder.empty() ? "." : std::string(folder)) + "/" + program);
  }
  return files;
}

bool is_valid(const ProcessOptions& options) {
  const auto& variables = options.environment;
  return !options.arguments.empty() &&
         std::all_of(options.arguments.begin(), options.arguments.end(), &is_c_string) &&
         std::all_of(variables.begin(), variables.end(),
                     [](const std::string& variable) {
                       const std::size_t sign = variable.find('=');
                       return is_c_string(variable) && sign != std::string::npos && sign > 0;
                     }) &&
         is_c_string(options.directory);
}

Result<UniqueFd> open_null() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return last_system_error();
  return copy_descriptor(null.get());
}

}  // namespace

Redirect Redirect::to(int fd) noexcept {
  Redirect result(Kind::descriptor);
  result.fd_ = fd;
  return result;
}

Redirect Redirect::pipe(StreamHandler& handler) noexcept { return pipe(handler, kDefaultOptions); }

Redirect Redirect::pipe(StreamHandler& handler, const StreamOptions& options) noexcept {
  Redirect result(Kind::pipe);
  result.handler_ = &handler;
  result.options_ = &options;
  return result;
}

// Setup has the descriptors of a process that is about to start.
struct Process::Setup {
  // Makes the child's end of stream `number` and, if it is a pipe, also our end.
  Result<> connect(std::size_t number, const Redirect& redirect) {
    switch (redirect.kind_) {
      case Redirect::Kind::inherit:
        return {};
      case Redirect::Kind::null:
        return keep(number, open_null());
      case Redirect::Kind::descriptor:
        return keep(number, copy_descriptor(redirect.fd_));
      case Redirect::Kind::with_output:
        if (number != STDERR_FILENO) return system_error(EINVAL);
        return keep(number, copy_descriptor(theirs[1] ? theirs[1].get() : STDOUT_FILENO));
      case Redirect::Kind::pipe:
        break;
    }
    Result<PipeEnds> pipe = make_pipe_ends();
    if (!pipe) return pipe.error();
    if (number == 0) std::swap(pipe->read, pipe->write);
    ours[number] = std::move(pipe->read);
    theirs[number] = std::move(pipe->write);
    return {};
  }

  Result<> keep(std::size_t number, Result<UniqueFd> fd) {
    if (!fd) return fd.error();
    theirs[number] = std::move(*fd);
    return {};
  }

  std::array<UniqueFd, 3> theirs, ours;
};

// A Ward is the part of a Process that waits for the child. If the Process is destroyed before the
// child has ended, the loop keeps the Ward.
struct Process::Ward {
  Ward(Process* process, Orphans& keeper) : owner(process), orphans(keeper) {}
  Ward(const Ward&) = delete;
  Ward& operator=(const Ward&) = delete;

  // Waits briefly for the child if it was killed but nobody has waited for it yet. SIGKILL works
  // immediately, except on a process that hangs in the kernel. A longer wait would not help there.
  ~Ward() {
    if (!killed || made_in != process_generation()) return;
    for (int left = kLastWaits; left > 0 && ::waitpid(pid, nullptr, WNOHANG) == 0; --left) {
      ::poll(nullptr, 0, 1);
    }
  }

  // Until the child is waited for, its pid and its group can't belong to another process. Code
  // outside the loop may have waited for it, so this function asks the kernel before it sends the
  // signal.
  Result<> send(int signal) const noexcept {
    siginfo_t info{};
    const bool is_ours =
        ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (!is_ours) return system_error(ESRCH);
    if (::kill(target, signal) != 0) return last_system_error();
    return {};
  }

  void on_exit(ExitStatus status);

  Process* owner;
  pid_t pid = -1, target = -1;
  bool killed = false;
  Orphans& orphans;
  // Its node in Orphans::list, made early: the destructor of Process must not need memory.
  std::list<std::unique_ptr<Ward>> node{1};
  std::uint32_t made_in = process_generation();
  ChildWatcher watcher;
};

// Orphans has the children of a loop that still run although their Process object is gone.
struct Process::Orphans final : LoopExtension {
  // Throws std::bad_alloc.
  static Orphans& of(Loop& loop) {
    if (LoopExtension* made = loop.extension(Layer::process)) return static_cast<Orphans&>(*made);
    auto orphans = std::make_unique<Orphans>();
    Orphans& result = *orphans;
    loop.set_extension(Layer::process, std::move(orphans));
    return result;
  }

  std::list<std::unique_ptr<Ward>> list;
};

void Process::Ward::on_exit(ExitStatus status) {
  killed = false;
  if (owner != nullptr) {
    owner->ended(status);
  } else {
    orphans.list.remove_if([this](const auto& each) { return each.get() == this; });
  }
}

Process::Process(OnExit on_exit) noexcept : on_exit_(std::move(on_exit)) {}

Result<std::unique_ptr<Process>> Process::spawn(Loop& loop, const ProcessOptions& options,
                                                OnExit on_exit, SourceLocation where) {
  if (!loop.in_own_process()) return Errc::wrong_process;  // checked before anything runs
  if (!is_valid(options)) return system_error(EINVAL);
  Setup setup;
  const std::array<const Redirect*, 3> redirects{&options.input, &options.output, &options.errors};
  for (std::size_t i = 0; i < 3; ++i) {
    if (Result<> result = setup.connect(i, *redirects[i]); !result) return result.error();
  }
  std::unique_ptr<Process> process(new Process(std::move(on_exit)));
  for (std::size_t i = 0; i < 3; ++i) {
    if (!setup.ours[i]) continue;
    Result<std::unique_ptr<Stream>> stream = open_pipe(
        loop, std::move(setup.ours[i]), *redirects[i]->handler_, *redirects[i]->options_, where);
    if (!stream) return stream.error();
    process->streams_[i] = std::move(*stream);
  }
  SpawnPlan plan;
  plan.arguments = options.arguments;
  plan.environment = environment_for(options);
  plan.files = files_for(options.arguments[0], plan.environment);
  plan.directory = options.directory;
  plan.group = static_cast<SpawnPlan::Group>(options.group);
  for (std::size_t i = 0; i < 3; ++i) plan.streams[i] = setup.theirs[i].get();
  // The Ward is made before the fork. If it were made later and failed, nobody would wait for the
  // child.
  process->starter_ = loop.deferred([made = process.get()] { made->start_next(); }, where);
  auto ward = std::make_unique<Ward>(process.get(), Orphans::of(loop));
  Result<pid_t> pid = spawn_child(plan);
  if (!pid) return pid.error();
  ward->pid = process->pid_ = *pid;
  ward->target = options.group == ProcessGroup::same ? *pid : -*pid;
  process->ward_ = std::move(ward);
  if (Result<> result = process->watch(loop, where); !result) return result.error();
  setup = {};
  process->starter_.schedule();
  return process;
}

Result<> Process::watch(Loop& loop, SourceLocation where) {
  Result<ChildWatcher> watcher = loop.on_exit(
      pid_, [ward = ward_.get()](ExitStatus status) { ward->on_exit(status); }, where);
  if (!watcher) return watcher.error();
  ward_->watcher = std::move(*watcher);
  return {};
}

// Starts one Stream per turn, because a Stream's callbacks may destroy this Process.
void Process::start_next() {
  Stream* const stream = streams_[started_++].get();
  if (started_ < streams_.size()) starter_.schedule();
  if (stream != nullptr) stream->start();
}

Process::~Process() {
  if (ward_ == nullptr || ward_->made_in != process_generation()) return;
  ward_->owner = nullptr;
  if (kills_) ward_->killed = ward_->send(SIGKILL).has_value();
  if (!ward_->watcher || !ward_->watcher.active()) return;  // the loop is gone
  ward_->watcher.unref();
  auto& node = ward_->node;
  auto& orphans = ward_->orphans.list;
  node.front() = std::move(ward_);
  orphans.splice(orphans.end(), node);
}

bool Process::running() const noexcept { return ward_ != nullptr; }

Result<> Process::kill(int signal) noexcept {
  if (ward_ == nullptr) return system_error(ESRCH);
  if (ward_->made_in != process_generation()) return Errc::wrong_process;
  return ward_->send(signal);
}

// Calls on_exit_, which may destroy this Process.
void Process::ended(ExitStatus status) {
  ward_.reset();
  OnExit callback = std::move(on_exit_);
  if (callback) callback(*this, status);
}

}  // namespace reactor
