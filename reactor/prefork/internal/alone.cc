// SPDX-License-Identifier: MIT
// Alone: does a master's work for a process without workers. The Worker handles the signals. This
// class sends the messages to the service manager, and reaps orphans if the process is process 1.
#include "reactor/prefork/internal/alone.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/system/isolation.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/internal/worker_forked.h"
#include "reactor/prefork/notify.h"
#include "reactor/prefork/worker.h"

namespace reactor::prefork {
namespace {

constexpr const char* kStatus = "serving without workers";

// Tells the service manager the state of the process, as a master's Herald does, and reaps orphans
// if the process is process 1.
class Alone {
 public:
  Alone(Loop& loop, Duration graceful_timeout) : loop_(loop), graceful_timeout_(graceful_timeout) {
    for (const int number : {SIGTERM, SIGINT, SIGQUIT}) {
      on(number, [this] { stop(); });
    }
    on(SIGHUP, [this] {
      notifier_.reloading();  // Worker::on_reload() does the rest
      notifier_.ready(kStatus);
      try_again();
    });
    retry_ = loop.timer([this] {
      notifier_.flush();
      try_again();
    });
    retry_.unref();
    if (::getpid() != 1) return;
    reap_again_ = loop.deferred([this] { reap_orphans(); });
    on(SIGCHLD, [this] { reap_orphans(); });
    reap_orphans();
  }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

  void begin() {
    notifier_.ready(kStatus);
    try_again();
    if (notifier_.watchdog_interval() <= Duration::zero()) return;
    notifier_.watchdog();
    watchdog_ = loop_.every(notifier_.watchdog_interval() / 3, [this] {
      notifier_.watchdog();
      try_again();
    });
    watchdog_.unref();
  }

  void stop() {
    if (std::exchange(stopping_, true)) return;
    notifier_.stopping("stopping", graceful_timeout_);
    try_again();
  }

 private:
  void on(int number, Callback<void()> callback) {
    watchers_.push_back(loop_.on_signal(number, std::move(callback)).value());
    watchers_.back().unref();
  }

  void try_again() {
    if (notifier_.waits()) retry_.start(Notifier::kRetryDelay);
  }

  // Reaps orphans: see Crew::reap_orphans(). If the loop waits for the child that waitid(2) finds
  // first, leaves that child to the loop and looks again later, because orphans may have ended too.
  void reap_orphans() {
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
      if (loop_.waits_for(info.si_pid)) {
        reap_again_.schedule();
        return;
      }
      ::waitpid(info.si_pid, nullptr, WNOHANG);
      info = {};
    }
  }

  Loop& loop_;
  const Duration graceful_timeout_;
  Notifier notifier_;
  std::vector<SignalWatcher> watchers_;
  Deferred reap_again_;
  Timer watchdog_;
  Timer retry_;
  bool stopping_ = false;
};

}  // namespace

int run_alone(Options& options, WorkerFunction& serve, ListenerTable& listeners) {
  try {
    if (!take_identity(options.identity)) return kExitNotReady;
    Worker::Sockets sockets{listeners.listeners_of(0).value(), listeners.datagrams().value()};
    listeners.release_own().clear();
    // The process of a connection must not have the sockets that stayed open here.
    options.on_fork = [&listeners, let_go = std::move(options.on_fork)]() mutable {
      if (let_go) let_go();
      listeners.close();
    };
    Worker worker(options, options, 0, std::move(sockets), nullptr);
    Alone alone(worker.loop(), options.graceful_timeout);
    options.on_ready = [&alone, announce = std::move(options.on_ready)]() mutable {
      if (announce) announce();
      alone.begin();
    };
    SignalPipe::unblock();
    const int status = worker.execute(serve);
    SignalPipe::block();  // nobody handles them from here on
    alone.stop();
    return status;
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("can't start: ") + error.what());
    return kExitNotReady;
  }
}

}  // namespace reactor::prefork
