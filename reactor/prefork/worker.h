// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/base/callback_slot.h"
#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/options.h"

namespace reactor::prefork {

class Child;
class ForkServer;
struct Membership;  // internal
struct Message;     // internal

// A worker's side of prefork: its loop, its listeners, and what the master wants of it. Made by
// run() in the worker process. Loop thread only; callbacks may call everything but run() and
// serve().
class Worker {
 public:
  struct Sockets {
    std::vector<Socket> listeners, datagrams;
  };
  // `membership`: what a forked worker has of its master; null with workers = 0.
  Worker(Options& options, const Plan& plan, unsigned index, Sockets sockets,
         std::unique_ptr<Membership> membership);
  // In the process of one connection.
  Worker(Options& options, const Plan& plan, unsigned index, Child& child);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // Made after the fork: this process's own.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // 0 .. workers - 1; a successor has its predecessor's.
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  // One listening socket per address, in their order, to be adopted by servers; empty afterwards,
  // and in the process of a connection.
  [[nodiscard]] std::vector<Socket> listeners() noexcept { return std::move(sockets_.listeners); }
  // One socket per Endpoint for datagrams, in their order, which the workers share: any of them may
  // get a datagram, and after the end of one the others have its queue. To be adopted by Datagrams;
  // empty afterwards.
  [[nodiscard]] std::vector<Socket> datagrams() noexcept { return std::move(sockets_.datagrams); }

  // Runs the loop for this server, which adopted listeners(): tells the master that it accepts,
  // drains it at the end, hands its idle connections to the successor at a reload, accepts for
  // siblings that are gone or stuck, and evens connections out between the workers. The result is
  // meant for the worker function to return: 0, or 1 where the loop failed, which is logged. In the
  // process of a connection: serves that and returns; see Child::serve().
  int serve(Service& service);

  // The same for whoever does it all himself, without siblings. on_drain(): what to do when the
  // worker shall end: finish. From then on the loop ends as soon as nothing is left to wait for, or
  // when the callback has it stopped; without one, at once. After Plan::graceful_timeout it is
  // stopped in any case. Not with Model::fork, where it logs so and gives 1.
  void on_drain(Callback<void()> callback) { on_drain_ = std::move(callback); }
  int run();

  // HUP came, with workers = 0: what to do in place of a master, which would replace the workers.
  // Without a callback it is logged and ignored. In forked workers it is never called.
  void on_reload(Callback<void()> callback) { on_reload_ = std::move(callback); }

  // What run() of prefork.h calls: `serve`, by Plan::model once here or for each connection. An
  // exception out of it is logged, and gives 1.
  int execute(WorkerFunction& serve) noexcept;

  // Asks the master for a successor, and to be drained when that is ready. Plan::max_requests does
  // so by itself.
  void renew();

 private:
  [[nodiscard]] int serve_by_model(WorkerFunction& serve);
  void watch_signals();
  void watch_reopen();
  void reopen();
  void close_in_child();
  void watch_master();
  void hear_master();
  void pause_master();
  void hear(const Message& message, UniqueFd descriptor);
  [[nodiscard]] bool wait_to_serve();
  void start_beating();
  void say_ready();
  void drain();
  void drain_service();
  void retire(unsigned heir);
  [[nodiscard]] bool begin_drain();
  void count_down(Duration left);
  void stop_soon();
  void end_now(const char* why);

  Options& options_;
  Plan plan_;
  unsigned index_;
  Sockets sockets_;
  std::unique_ptr<Membership> membership_;
  std::optional<Loop> own_loop_;  // none in a Child
  Loop& loop_;
  Child* child_ = nullptr;
  ForkServer* fork_server_ = nullptr;
  Service* service_ = nullptr;
  CallbackSlot<void()> on_drain_;
  CallbackSlot<void()> on_reload_;
  std::vector<SignalWatcher> signals_;
  IoWatcher master_;
  Timer listen_again_;  // to the master
  Timer beat_;
  Timer deadline_;
  Timer give_up_;  // handing over
  bool draining_ = false;
  bool retiring_ = false;  // by handing over
};

}  // namespace reactor::prefork
