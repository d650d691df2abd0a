// SPDX-License-Identifier: MIT
// ForkServer: serves each connection in a process of its own, which has its own loop. The handlers
// are those of Server<C>. They may block, because no other connection waits for them. The same call
// makes either server:
//
//   auto server = reactor::Server<Echo>::listen(loop, address, limits).value();
//   auto server = reactor::prefork::ForkServer::listen<Echo>(loop, address, limits).value();
//
// In prefork::run(), Model::fork selects this server, and the code of the application stays the
// same.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reactor/base/held_callback.h"
#include "reactor/base/result.h"
#include "reactor/net/server.h"
#include "reactor/prefork/child.h"

namespace reactor::prefork {

class SignalBlock;  // internal

// Accepts connections, forks a child for each, and waits for those children and no others. It never
// reads from a connection and never blocks. At the limit of children it stops accepting, and the
// kernel's queue fills. If fork(2) fails, the connection waits and the fork is tried again, after a
// delay that doubles from 100 ms up to 5 s. A connection is over when its child has ended for any
// reason. A child that was killed by a signal is logged.
//
// Thread: the loop's. Use it in a process with one thread: a child has a copy of the forking thread
// only, so locks that other threads held stay locked in the child. A child has a copy of all
// memory, but it closes the descriptors that the parent's loop watches. A child ends by _exit(2),
// without running the parent's destructors. It dies with its parent; on Linux it dies with the
// thread that forked it.
//
// As a Service: drain() and hand_over() both ask the children to finish, because a connection can't
// leave its process. The destructor kills the children and waits until they are gone.
class ForkServer final : public ServerBase, private ConnectionSet {
 public:
  // Runs in the child: makes a Service without listeners and calls child.serve(). Its result is the
  // child's exit status. An exception is logged, and the exit status is 1.
  using Serve = Callback<int(Child&)>;

  static constexpr std::size_t kMaxChildren = 40;

  // These functions work like Server<C>::listen() and adopt(). `limits.max_connections` counts
  // children; 0 stands for kMaxChildren. Errors: those of Server<C>, and of pipe(2).
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> listen(
      LoopHere here, std::span<const Address> addresses, ServerLimits limits, Serve serve);
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> adopt(LoopHere here,
                                                                 std::vector<Socket> sockets,
                                                                 ServerLimits limits, Serve serve);

  // These functions take the same arguments as Server<C>::listen() and adopt(). `context` must
  // outlive the server. Each child uses its own copy, which fork(2) made.
  template <ConnectionHandler C, class... Context>
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> listen(
      LoopHere here, std::span<const Address> addresses, ServerLimits limits, Context&... context) {
    Serve serve = serve_with<C>(here.where, limits, context...);
    return listen(here, addresses, std::move(limits), std::move(serve));
  }
  template <ConnectionHandler C, class... Context>
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> listen(LoopHere here,
                                                                  const Address& address,
                                                                  ServerLimits limits = {},
                                                                  Context&... context) {
    return listen<C>(here, std::span<const Address>(&address, 1), std::move(limits), context...);
  }
  template <ConnectionHandler C, class... Context>
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> adopt(LoopHere here,
                                                                 std::vector<Socket> sockets,
                                                                 ServerLimits limits,
                                                                 Context&... context) {
    Serve serve = serve_with<C>(here.where, limits, context...);
    return adopt(here, std::move(sockets), std::move(limits), std::move(serve));
  }

  ~ForkServer();

  Result<> adopt_connection(Socket connection, std::span<const std::byte> state) override;

  // Sets a callback that runs first in each child, to close the descriptors that only the parent
  // may have open. After the callback, the child closes the descriptors that the parent's loop
  // watches. The callback must open nothing.
  void set_on_fork(Callback<void()> on_fork) { on_fork_ = std::move(on_fork); }

  // Sends a signal to each child, for example SIGUSR1 to reopen log files.
  void signal_children(int number) noexcept;
  // Returns the number of children that were forked and have not been reaped yet. connections()
  // also counts connections that still wait for a fork.
  [[nodiscard]] std::size_t children() const noexcept { return children_.size(); }

 private:
  struct Waiting {
    Socket connection;
    std::vector<std::byte> state;  // see Service::adopt_connection()
  };
  struct Forked {
    ChildWatcher watcher;
    bool told = false;  // it got SIGTERM
  };

  ForkServer(LoopHere here, ServerLimits limits, Serve serve);

  template <ConnectionHandler C, class... Context>
  [[nodiscard]] static Serve serve_with(SourceLocation where, const ServerLimits& limits,
                                        Context&... context) {
    return [where, limits, &context...](Child& child) {
      LoopHere here(child.loop(), where);
      auto server = Server<C>::adopt(here, {}, limits, context...).value();
      return child.serve(*server);
    };
  }

  Stream* make(NewConnection& from) override;
  void destroy(Stream&) noexcept override {}  // the children have the streams
  void ask_all_to_end() override;

  [[nodiscard]] std::error_code open_lifeline();
  void start_children();
  [[nodiscard]] bool start_child(Waiting& waiting);
  [[nodiscard]] Result<> watch(pid_t pid);
  [[noreturn]] void become_child(pid_t parent, SignalBlock& blocked) noexcept;
  void back_off(std::error_code error);
  void on_exit(pid_t pid, ExitStatus status);
  void tell_to_finish(pid_t pid, Forked& child) noexcept;

  Serve serve_;
  HeldCallback<void()> on_fork_;
  const std::size_t max_children_;
  // A pipe: the children read lifeline_, and only this process has lifeline_end_. The loop watches
  // lifeline_end_, because each child closes all descriptors that the loop watches. So the children
  // of other ForkServers close it, too.
  UniqueFd lifeline_, lifeline_end_;
  IoWatcher lifeline_watch_;
  std::deque<Waiting> waiting_;   // accepted; each needs a child
  std::vector<std::byte> state_;  // passed from adopt_connection() to make()
  std::unordered_map<pid_t, Forked> children_;
  Deferred starting_;
  Timer again_;            // runs after a fork that failed
  Duration next_retry_{};  // zero if the last fork succeeded
};

}  // namespace reactor::prefork
