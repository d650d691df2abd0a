// SPDX-License-Identifier: MIT
// ForkServer: the states of a connection.
//
//   accepted -- queued in waiting_ -- start_child() --> its child serves it -- on_exit() --> over
//                  |        ^
//                  +--------+ fork(2) failed: again_ tries later, and so does the end of a child
#include "reactor/prefork/fork_server.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <new>
#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/system/parent.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {
namespace {

// The pause after a fork that failed doubles up to kLastRetry. The end of a child also causes a new
// try, before the pause is over.
constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(5);

ServerLimits for_parent(ServerLimits limits) {
  if (limits.max_connections == 0) limits.max_connections = ForkServer::kMaxChildren;
  limits.proxy = {};            // the child reads the header
  limits.transports = nullptr;  // the child makes the transport
  return limits;
}

void wait_for(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::unique_ptr<ForkServer>> ForkServer::listen(LoopHere here,
                                                       std::span<const Address> addresses,
                                                       ServerLimits limits, Serve serve) {
  std::unique_ptr<ForkServer> server(new ForkServer(here, std::move(limits), std::move(serve)));
  if (const std::error_code error = server->open_lifeline()) return error;
  if (const std::error_code error = server->listen_at(addresses)) return error;
  return server;
}

Result<std::unique_ptr<ForkServer>> ForkServer::adopt(LoopHere here, std::vector<Socket> sockets,
                                                      ServerLimits limits, Serve serve) {
  std::unique_ptr<ForkServer> server(new ForkServer(here, std::move(limits), std::move(serve)));
  if (const std::error_code error = server->open_lifeline()) return error;
  if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
  return server;
}

ForkServer::ForkServer(LoopHere here, ServerLimits limits, Serve serve)
    : ServerBase(here.loop, for_parent(std::move(limits)), here.where, *this),
      serve_(std::move(serve)),
      max_children_(this->limits().max_connections),
      starting_(here.loop.deferred([this] { start_children(); }, here.where)),
      again_(here.loop.timer([this] { start_children(); }, here.where)) {}

ForkServer::~ForkServer() {
  if (!loop().in_own_process()) return;
  signal_children(SIGKILL);
  for (auto& [pid, child] : children_) {
    child.watcher.stop();
    wait_for(pid);
  }
}

std::error_code ForkServer::open_lifeline() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return last_system_error();
  lifeline_.reset(ends[0]);
  lifeline_end_.reset(ends[1]);
  for (const int fd : ends) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return last_system_error();
  }
  Result<IoWatcher> watched = loop().watch(lifeline_end_.get(), Interest::none, [](Ready) {});
  if (!watched) return watched.error();
  lifeline_watch_ = std::move(*watched);
  lifeline_watch_.unref();
  return {};
}

// ---- Connections ----

Result<> ForkServer::adopt_connection(Socket connection, std::span<const std::byte> state) {
  state_.assign(state.begin(), state.end());
  const Result<> taken = ServerBase::adopt_connection(std::move(connection), {});
  state_.clear();
  return taken;
}

// Forks from the loop, because a fork amid another callback would copy work that is half done.
Stream* ForkServer::make(NewConnection& from) {
  waiting_.push_back({std::move(from.socket), std::exchange(state_, {})});
  if (!again_.active()) starting_.schedule();
  return nullptr;
}

void ForkServer::start_children() {
  while (!waiting_.empty() && children_.size() < max_children_) {
    if (!start_child(waiting_.front())) return;
    waiting_.pop_front();  // the child has it
  }
}

bool ForkServer::start_child(Waiting& waiting) {
  const pid_t parent = ::getpid();
  SignalBlock blocked;
  const pid_t pid = ::fork();
  if (pid == 0) become_child(parent, blocked);
  if (pid < 0) {
    back_off(last_system_error());
    return false;
  }
  next_retry_ = {};
  again_.stop();
  if (const Result<> watched = watch(pid); !watched) {
    REACTOR_LOG(error, "a connection is dropped: its process can't be watched: " +
                           watched.error().message());
    ::kill(pid, SIGKILL);
    wait_for(pid);
    waiting.connection = {};
    count_down();
    return true;
  }
  if (finishing()) tell_to_finish(pid, children_.at(pid));
  return true;
}

// Watches for the end of the child `pid`. Fails if neither a descriptor nor SIGCHLD can report that
// end, or if there is no memory. Catches bad_alloc, because after an exception the connection would
// stay in waiting_, and a second child would be forked for it.
Result<> ForkServer::watch(pid_t pid) {
  try {
    Result<ChildWatcher> watcher =
        loop().on_exit(pid, [this, pid](ExitStatus status) { on_exit(pid, status); });
    if (!watcher) return watcher.error();
    children_.emplace(pid, Forked{std::move(*watcher)});
    return {};
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

void ForkServer::become_child(pid_t parent, SignalBlock& blocked) noexcept {
  int status = kExitFailed;
  try {
    die_with(parent);
    Waiting own = std::move(waiting_.front());
    if (on_fork_) on_fork_();
    const Backend backend = loop().backend();
    loop().close_in_child();
    waiting_.clear();
    Child child(std::move(own.connection), own.state, std::move(lifeline_), backend, blocked);
    status = serve_(child);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("a connection ends by an exception: ") + error.what());
  } catch (...) {
    REACTOR_LOG(error, "a connection ends by an exception that is not a std::exception");
  }
  ::_exit(status);
}

void ForkServer::back_off(std::error_code error) {
  if (next_retry_ == Duration::zero()) {
    next_retry_ = kFirstRetry;
    REACTOR_LOG(warn, "can't fork for a connection, which waits: " + error.message() +
                          "; raise the limit of processes (ulimit -u) or lower the children");
  }
  again_.start(next_retry_);
  next_retry_ = std::min(next_retry_ * 2, kLastRetry);
}

void ForkServer::on_exit(pid_t pid, ExitStatus status) {
  if (status.signaled()) {
    REACTOR_LOG(warn, "the process of a connection (pid " + std::to_string(pid) +
                          ") was killed by signal " + std::to_string(status.signal()));
  }
  children_.erase(pid);
  if (!waiting_.empty()) starting_.schedule();
  count_down();
}

// ---- The end ----

void ForkServer::tell_to_finish(pid_t pid, Forked& child) noexcept {
  if (!std::exchange(child.told, true)) ::kill(pid, SIGTERM);
}

void ForkServer::ask_all_to_end() {
  for (auto& [pid, child] : children_) tell_to_finish(pid, child);
}

void ForkServer::signal_children(int number) noexcept {
  for (const auto& [pid, child] : children_) ::kill(pid, number);
}

}  // namespace reactor::prefork
