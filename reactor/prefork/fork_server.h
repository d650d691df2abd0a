// SPDX-License-Identifier: MIT
// ForkServer: a process for each connection, with a loop of its own. Handlers are those of
// Server<C>, and may block: nobody else waits for them. Either is made by the same call:
//
//   auto server = reactor::Server<Echo>::listen(loop, address, limits).value();
//   auto server = reactor::prefork::ForkServer::listen<Echo>(loop, address, limits).value();
//
// In prefork::run() it is Plan::model, and no line of code.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reactor/base/callback_slot.h"
#include "reactor/base/result.h"
#include "reactor/net/server.h"
#include "reactor/prefork/child.h"

namespace reactor::prefork {

class SignalBlock;  // internal

// Accepts, forks, and waits for the children that it forked and no others; never reads from a
// connection, nor blocks. At the limit it pauses, and the kernel's queue fills. Where fork(2) fails
// it tries again, later each time, and the connection waits. A connection is over when its child
// has ended, however that was; a child that is killed by a signal is logged.
//
// Belongs to its loop's thread. Fork from a process with one thread: a child has no others, and the
// locks that they held stay locked. A child has a copy of all memory, but the descriptors that the
// parent's loop watches are closed in it; it leaves by _exit(2), without destructors of the parent.
// It dies with its parent; on Linux already with the thread that forked it.
//
// As a Service: drain() asks the children to finish, as hand_over() does, since a connection can't
// leave its process. Destroying it kills the children, and waits for that.
class ForkServer final : public ServerBase {
 public:
  // In the child: makes a Service without listeners, and calls child.serve(). The result is the
  // exit status; an exception is logged and counts as 1.
  using Serve = Callback<int(Child&)>;

  static constexpr std::size_t kMaxChildren = 40;

  // As those of Server<C>. `limits.max_connections` counts children; 0 stands for kMaxChildren.
  // Errors: those, and of pipe(2).
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> listen(
      LoopHere here, std::span<const Address> addresses, ServerLimits limits, Serve serve);
  [[nodiscard]] static Result<std::unique_ptr<ForkServer>> adopt(LoopHere here,
                                                                 std::vector<Socket> sockets,
                                                                 ServerLimits limits, Serve serve);

  // With the arguments of Server<C>'s. `context` is copied with all memory at each fork.
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

  Result<> take_over(Socket connection, std::span<const std::byte> state) override;

  // Called first in each child, to close what only the parent shall have. What its loop watches is
  // closed after that; nothing may be opened before.
  void set_on_fork(Callback<void()> on_fork) { on_fork_ = std::move(on_fork); }

  // Sends a signal to each child, as USR1 to open log files again.
  void signal_children(int number) noexcept;
  // Those that were forked and not waited for; connections() counts those that wait for a fork too.
  [[nodiscard]] std::size_t children() const noexcept { return children_.size(); }

 private:
  struct Waiting {
    Socket connection;
    std::vector<std::byte> state;  // see Service::take_over()
  };
  struct Forked {
    ChildWatcher watcher;
    bool told = false;  // to finish
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

  void start_connection(Socket socket, SourceLocation where, const Origin& origin) override;
  void shut_connections_down() override;
  bool offer_connections() override;
  bool adopts_upgraded() const noexcept override { return false; }
  void on_stream_closed(Stream&) noexcept override {}  // they are the children's

  [[nodiscard]] std::error_code open_lifeline();
  void start_children();
  [[nodiscard]] bool start_child(Waiting& waiting);
  [[noreturn]] void become_child(pid_t parent, SignalBlock& blocked) noexcept;
  void back_off(std::error_code error);
  void on_exit(pid_t pid, ExitStatus status);
  void tell_to_finish(pid_t pid, Forked& child) noexcept;

  Serve serve_;
  CallbackSlot<void()> on_fork_;
  const std::size_t max_children_;
  UniqueFd lifeline_, lifeline_end_;  // the children read it; the end is here and nowhere else:
  IoWatcher lifeline_watch_;          // so that other ForkServers' children close it as well
  std::deque<Waiting> waiting_;       // accepted, to be forked for
  std::vector<std::byte> state_;      // on its way from take_over() to start_connection()
  std::unordered_map<pid_t, Forked> children_;
  Deferred starting_;
  Timer again_;            // after a fork that failed
  Duration next_retry_{};  // zero: the last one went well
};

}  // namespace reactor::prefork
