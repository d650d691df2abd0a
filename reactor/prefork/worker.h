// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/base/held_callback.h"
#include "reactor/loop/loop.h"
#include "reactor/net/service.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

class Child;
class ForkServer;
struct Message;  // internal

// Worker is the part of prefork in a worker process: its loop, its listeners, and its answers to
// the master's messages. prefork::run() makes the Worker in that process. Thread: the loop's.
// Callbacks may call any function except run() and serve().
class Worker {
 public:
  struct Sockets {
    std::vector<Socket> listeners, datagrams;
  };
  struct Forked;  // internal: a forked worker's links to its master and siblings

  // Called by prefork::run(). `forked` is null with workers = 0.
  Worker(Options& options, const Plan& plan, unsigned index, Sockets sockets,
         std::unique_ptr<Forked> forked);
  // For the process of one connection (Model::fork).
  Worker(Options& options, const Plan& plan, unsigned index, Child& child);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // The loop of this process. It was made after the fork.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // The worker's slot, 0 to workers - 1. A successor has the index of its predecessor.
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  // Returns one listening socket per address, in the order of the addresses, for servers to adopt.
  // The list is empty at the second call, and in the process of a connection.
  [[nodiscard]] std::vector<Socket> listeners() noexcept { return std::move(sockets_.listeners); }
  // Returns one socket per Endpoint for datagrams, in the order of the Endpoints, for Datagrams to
  // adopt. The list is empty at the second call. The workers share these sockets: any worker may
  // receive a datagram, and when a worker ends, the others read the rest of the queue.
  [[nodiscard]] std::vector<Socket> datagrams() noexcept { return std::move(sockets_.datagrams); }

  // Runs the loop for `service`, which adopted listeners(). Tells the master that this worker
  // accepts, and drains the service at the end. At a reload hands idle connections over to the
  // successor. Also accepts for other workers (siblings) that are gone, stuck or full, and evens
  // out the numbers of connections between the workers. Returns 0, or 1 if the loop failed, and
  // logs such an error. The worker function has to return this result. In the process of a
  // connection this call serves that connection and returns; see Child::serve().
  int serve(Service& service);

  // run() replaces serve() in an application without a Service. The worker then neither hands
  // connections over nor shares them with siblings. When the worker has to end, it calls the
  // on_drain() callback, which finishes the application's work. After that call the loop ends as
  // soon as nothing is left to wait for, or when the callback stops it. Without a callback the loop
  // ends at once. After Plan::graceful_timeout the loop is stopped in any case. With Model::fork,
  // run() logs an error and returns 1.
  void on_drain(Callback<void()> callback) { on_drain_ = std::move(callback); }
  int run();

  // Sets the callback for HUP with workers = 0, because in that case no master can replace workers.
  // Without a callback HUP is logged and ignored. Forked workers never call it.
  void on_reload(Callback<void()> callback) { on_reload_ = std::move(callback); }

  // Called by prefork::run(). Calls `serve` once in this process or, with Model::fork, once for
  // each connection. If `serve` throws, logs the exception and returns 1.
  int execute(WorkerFunction& serve) noexcept;

  // Asks the master for a successor. Once the successor is ready, the master retires this worker.
  // With Plan::max_requests a worker calls this without help from the application.
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
  void take_rest();
  void retire(unsigned heir);
  [[nodiscard]] bool begin_drain();
  void count_down(Duration left);
  void stop_soon();
  void end_now(const char* why);

  Options& options_;
  Plan plan_;
  unsigned index_;
  Sockets sockets_;
  std::unique_ptr<Forked> forked_;
  std::optional<Loop> own_loop_;  // empty in the process of a connection
  Loop& loop_;
  Child* child_ = nullptr;
  ForkServer* fork_server_ = nullptr;
  Service* service_ = nullptr;
  HeldCallback<void()> on_drain_;
  HeldCallback<void()> on_reload_;
  std::vector<SignalWatcher> signals_;
  IoWatcher master_;
  Timer listen_again_;  // resumes reading from the master
  Timer beat_;
  Timer deadline_;
  Timer give_up_;  // of handing over; then the worker drains
  Timer rest_;     // looks again for connections that could not be taken
  bool draining_ = false;
  bool retiring_ = false;  // connections are being handed over
};

}  // namespace reactor::prefork
